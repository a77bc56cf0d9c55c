/* The one library that can be loaded is the engine of core.c. */
enum { RTLD_NOW = 2, RTLD_LOCAL = 0 };
void *dlopen(const char *name, int flags);
void *dlsym(void *library, const char *name);
char *dlerror(void);
