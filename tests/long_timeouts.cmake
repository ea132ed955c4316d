# Read by ctest after the tests are discovered: `./dev test --long` gives the tests that then do more
# the time for it.
if(DEFINED ENV{BASCULE_LONG_TESTS})
  foreach(test IN LISTS process_test_TESTS log_test_TESTS sim_test_TESTS)
    set_tests_properties(${test} PROPERTIES TIMEOUT 14400)
  endforeach()
endif()
