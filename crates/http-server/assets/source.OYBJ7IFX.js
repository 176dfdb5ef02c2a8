import{a}from"./chunk.TMUQC5FS.js";import"./chunk.Z54YLRIH.js";import"./chunk.MU3HJXZL.js";import"./chunk.SXSRE5B4.js";export{a as showSource};
