# What is installed beside the program, and the Debian package: `cpack` in the build's folder.

# The program writes its own completion scripts.
set(completions "${PROJECT_BINARY_DIR}/completions")
set(completion_files)
foreach(shell IN ITEMS bash zsh fish)
  add_custom_command(
    OUTPUT "${completions}/${shell}"
    COMMAND ${CMAKE_COMMAND} -E make_directory "${completions}"
    COMMAND tenantctl completion ${shell} > "${completions}/${shell}"
    DEPENDS tenantctl
    WORKING_DIRECTORY "${PROJECT_BINARY_DIR}"
    VERBATIM)
  list(APPEND completion_files "${completions}/${shell}")
endforeach()
add_custom_target(completions ALL DEPENDS ${completion_files})

# Where Debian's shells look for a package's scripts.
install(FILES "${completions}/bash"
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME tenantctl)
install(FILES "${completions}/zsh"
  DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _tenantctl)
install(FILES "${completions}/fish"
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME tenantctl.fish)
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tenantctl)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tenantctl RENAME copyright)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tenantctl)
set(CPACK_PACKAGE_CONTACT "the tenantctl authors <tenantctl@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
  "Brings versioned SQL revisions to one tenant's schema or to thousands, goes on
when one fails and names it, and tells where every schema stands.")
include(CPack)
