# Turns the sources of this package into one file that cbindgen understands: the blocks of `exported!` become plain functions.
# cbindgen expands macros only with a nightly compiler and a build of everything.
/^exported! \{/ { exported = 1; next }
exported && /^\}$/ { exported = 0; next }
exported && /^    pub unsafe extern "C" fn/ { print "#[unsafe(no_mangle)]" }
# Inner documentation belongs to a file, and here are many.
/^\/\/!/ { next }
{ print }
