// Replaced by the kernels.
int pipit_placeholder(void);
int pipit_placeholder(void) { return 0; }
