# Installs the library, its headers and a CMake package: find_package(vblora) gives vblora::vblora.
include(CMakePackageConfigHelpers)

install(TARGETS vblora EXPORT vblora LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/include/vblora DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT vblora NAMESPACE vblora:: FILE vbloraConfig.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vblora)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/vbloraConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vbloraConfigVersion.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vblora)
install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/../LICENSE ${CMAKE_CURRENT_SOURCE_DIR}/../NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})
