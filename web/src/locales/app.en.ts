export default {
    close: 'Close',
    cancel: 'Cancel',
    dismiss: 'Dismiss',
    undo: 'Undo',
    save: 'Save',
    delete: 'Delete',
};
