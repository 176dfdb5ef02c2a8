export default {
    close: '閉じる',
    cancel: 'キャンセル',
    dismiss: '閉じる',
    undo: '元に戻す',
    save: '保存',
    delete: '削除',
};
