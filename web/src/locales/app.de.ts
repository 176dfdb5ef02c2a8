export default {
    close: 'Schließen',
    cancel: 'Abbrechen',
    dismiss: 'Ausblenden',
    undo: 'Rückgängig',
    save: 'Speichern',
    delete: 'Löschen',
};
