import{a}from"./chunk.F7QSTBUW.js";import"./chunk.XKM43RU5.js";import"./chunk.UF4SMRFZ.js";import"./chunk.JJFSKIPI.js";export{a as showSource};
