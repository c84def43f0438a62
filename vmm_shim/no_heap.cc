// SPDX-License-Identifier: BSD-3-Clause
//
// FlatBuffers' inline code names the heap operators, though with our allocator it
// never calls them. They stand here so that the library needs libc alone; they are
// local to it (memfail-shim.map, static.cmake).
#include <cstddef>
#include <cstdlib>
#include <new>

void* operator new(std::size_t /*size*/) { std::abort(); }
void* operator new[](std::size_t /*size*/) { std::abort(); }
void operator delete(void* /*p*/) noexcept { std::abort(); }
void operator delete[](void* /*p*/) noexcept { std::abort(); }
void operator delete(void* /*p*/, std::size_t /*size*/) noexcept { std::abort(); }
void operator delete[](void* /*p*/, std::size_t /*size*/) noexcept { std::abort(); }
extern "C" void __cxa_pure_virtual() { std::abort(); }  // NOLINT(bugprone-reserved-identifier)
