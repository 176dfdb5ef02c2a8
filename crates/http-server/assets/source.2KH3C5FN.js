import{a}from"./chunk.HPQWKOCV.js";import"./chunk.XNEGOZT4.js";import"./chunk.TZSPXJXE.js";import"./chunk.4X7OEHVK.js";export{a as showSource};
