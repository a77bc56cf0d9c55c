/* The C core leaves a text by longjmp where there is no memory: here the whole instance ends, and the page makes another. */
typedef int jmp_buf[1];
#define setjmp(place) ((void)(place), 0)
#define longjmp(place, code) ((void)(place), (void)(code), __builtin_trap())
