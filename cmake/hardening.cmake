# SPDX-License-Identifier: BSD-3-Clause
# What makes a bug in our own code harder to use, in every build without a sanitizer
# (those have their own ways, and refuse some of this). tests/build checks the result.
include(CheckPIESupported)
check_pie_supported()

# memfail_harden(TARGET): an interface library whose users are built that way.
function(memfail_harden target)
  if(MEMFAIL_SANITIZE)
    return()
  endif()
  target_compile_options(${target} INTERFACE
    -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
    # What goes into shared memory comes from the stack: never what lay there before.
    -ftrivial-auto-var-init=zero
    # Needs an optimizer; the distribution's compiler may have set another value.
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=3>)
  # As a definition: it stands before the options, among which the plain parts take it back.
  target_compile_definitions(${target} INTERFACE $<$<COMPILE_LANGUAGE:CXX>:_GLIBCXX_ASSERTIONS>)
  target_link_options(${target} INTERFACE
    LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack LINKER:-z,separate-code
    # What starts a program (crt1.o) is not marked everywhere; it does nothing that a shadow
    # stack would mind.
    LINKER:-z,shstk)
endfunction()

# memfail_reproducible(TARGET): the same bytes wherever the tree stands.
function(memfail_reproducible target)
  target_compile_options(${target} INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
  target_link_options(${target} INTERFACE LINKER:--build-id=sha1)
endfunction()
