import{a}from"./chunk.V7KPLG5A.js";import"./chunk.JGQZFK7O.js";import"./chunk.5KYT5A5V.js";import"./chunk.CGG3SJPI.js";export{a as showSource};
