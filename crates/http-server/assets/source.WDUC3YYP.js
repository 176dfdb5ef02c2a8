import{a}from"./chunk.FWN4DZ5L.js";import"./chunk.DO4UFSMD.js";import"./chunk.GNRCF5FP.js";import"./chunk.4WT6N3RU.js";export{a as showSource};
