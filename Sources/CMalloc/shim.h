// glibc's own words to its allocator, which Swift's Glibc module does not have.
#include <malloc.h>
