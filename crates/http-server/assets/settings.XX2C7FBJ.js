import"./chunk.4X7OEHVK.js";async function i(t,e,o){}export{i as openSettings};
