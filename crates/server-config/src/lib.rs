//! Every parameter, declared once; the configuration file; the folder names of an instance.
