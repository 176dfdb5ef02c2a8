// Signs that only compose has; as in ../icons.ts.
export const SIGNS = {
    size: 'M3.5 18.5 9 5.5l5.5 13|M5.5 14h7|M15 18.5l3-7.5 3 7.5|M16 16.2h4',
    colour: 'M6.5 15.5 12 3.5l5.5 12|M8.4 11.5h7.2|M5 20h14',
    clear: 'M6 5.5h12M12.6 5.5l-1.7 7M10 16.2l-.8 3.3|M4 4l16 16',
    undo: 'M8.5 5 4 9.5 8.5 14|M4.5 9.5H14a5.5 5.5 0 0 1 0 11H9',
    redo: 'M15.5 5 20 9.5 15.5 14|M19.5 9.5H10a5.5 5.5 0 0 0 0 11h5',
    rtl: 'M20 8H8M20 12h-8M20 16H8|M5.5 9.5 3 12l2.5 2.5',
    send: 'M4 4.5 21 12 4 19.5 6.5 12z|M6.5 12H13',
    format: 'M5 7V5h14v2|M12 5v14|M9.5 19h5',
    restore: 'M4.5 9.5h10v10h-10z|M9 6.5V4.5h10.5V15h-2',
    fullScreen: 'M4.5 9V4.5H9M15 4.5h4.5V9M19.5 15v4.5H15M9 19.5H4.5V15',
    leave: 'M9 4.5V9H4.5M19.5 9H15V4.5M15 19.5V15h4.5M4.5 15H9v4.5',
} as const;
