# Included by tools/peers when it builds llama-cpp-python, which forces the cache entry: the library alone is compiled,
# without what llama.cpp's own programs share, a third of the work.
set(LLAMA_BUILD_COMMON OFF)
