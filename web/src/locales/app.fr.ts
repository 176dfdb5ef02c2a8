export default {
    close: 'Fermer',
    cancel: 'Annuler',
    dismiss: 'Masquer',
    undo: 'Annuler',
    save: 'Enregistrer',
    delete: 'Supprimer',
};
