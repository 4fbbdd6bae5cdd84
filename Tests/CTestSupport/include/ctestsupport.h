// Counts allocations of the whole process: a test's proof that a hot path makes none.
#ifndef PIPIT_CTESTSUPPORT_H
#define PIPIT_CTESTSUPPORT_H

/// Calls of malloc and its kin so far, by all threads; 0 for ever under AddressSanitizer, which needs
/// these functions for itself.
long allocation_count(void);

#endif
