# One folder of src/ is one module, one namespace, one library and one test program. The files are
# found, not listed, so that adding one never touches a shared file; the module's place in the house
# is the one line in src/modules.cmake, which tools/tidy.py holds every #include against.
find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
include(GoogleTest)

function(domicile_module name)
  cmake_parse_arguments(M "" "" "USES;LIBS" ${ARGN})
  set(dir ${CMAKE_SOURCE_DIR}/src/${name})
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cpp$")
  set(uses ${M_USES})
  list(TRANSFORM uses PREPEND domicile_)
  if(sources)
    add_library(domicile_${name} STATIC ${sources})
    target_include_directories(domicile_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(domicile_${name} PUBLIC ${uses} ${M_LIBS} Threads::Threads)
  else()
    add_library(domicile_${name} INTERFACE)
    target_include_directories(domicile_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(domicile_${name} INTERFACE ${uses} ${M_LIBS})
  endif()
  if(tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE domicile_${name} GTest::gmock GTest::gtest_main)
    gtest_discover_tests(${name}_test TEST_PREFIX ${name}. DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit)
  endif()
endfunction()

# sql/<set>/NNNN_*.sql become constants in the binary: a node needs no files beside it.
function(domicile_embed_sql target)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/sql/*/*.sql)
  set(out ${CMAKE_BINARY_DIR}/generated/embedded_sql.cpp)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DROOT=${CMAKE_SOURCE_DIR}/sql -P ${CMAKE_SOURCE_DIR}/cmake/embed_sql.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/embed_sql.cmake COMMENT "Embedding sql/")
  target_sources(${target} PRIVATE ${out})
endfunction()

# rules/*.yml become detect::built_in_rules(): the detections of a node need no files beside it.
function(domicile_embed_rules target)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/rules/*.yml)
  set(out ${CMAKE_BINARY_DIR}/generated/embedded_rules.cpp)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DROOT=${CMAKE_SOURCE_DIR}/rules -P ${CMAKE_SOURCE_DIR}/cmake/embed_rules.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/embed_rules.cmake COMMENT "Embedding rules/")
  target_sources(${target} PRIVATE ${out})
endfunction()
