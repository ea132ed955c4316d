# bascule_library(name source…): a static library, or an empty interface library while its folder
# has no sources, so that others can link it in any state of the tree.
function(bascule_library name)
  if(ARGN)
    add_library(${name} STATIC ${ARGN})
    set(${name}_SCOPE PUBLIC PARENT_SCOPE)
  else()
    add_library(${name} INTERFACE)
    set(${name}_SCOPE INTERFACE PARENT_SCOPE)
  endif()
endfunction()
