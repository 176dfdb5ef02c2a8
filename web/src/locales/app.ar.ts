export default {
    close: 'إغلاق',
    cancel: 'إلغاء',
    dismiss: 'إخفاء',
    undo: 'تراجع',
    save: 'حفظ',
    delete: 'حذف',
};
