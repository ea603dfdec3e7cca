package io.vblora.kernels;

import org.bytedeco.javacpp.Loader;

/**
 * Loads the native library once, when it is first needed. JavaCPP's rules apply: the library is extracted from the
 * {@code vblora-kernels} jar with the platform's classifier into JavaCPP's cache ({@code
 * org.bytedeco.javacpp.cachedir}), or found through {@code org.bytedeco.javacpp.pathsFirst} and {@code
 * java.library.path}. Thread-safe.
 */
public final class NativeLibrary {
    private static volatile boolean loaded;
    private static NativeLibraryException failure;

    private NativeLibrary() {}

    /**
     * Makes sure that the native library is loaded.
     *
     * @throws NativeLibraryException the same one at every call, if it cannot be loaded
     */
    public static void load() {
        if (!loaded) {
            loadOnce();
        }
    }

    private static synchronized void loadOnce() {
        if (loaded) {
            return;
        }
        if (failure != null) {
            throw failure;
        }
        try {
            Loader.load(io.vblora.kernels.global.vblora.class);
        } catch (LinkageError | RuntimeException e) {
            failure = new NativeLibraryException(explain(e), e);
            throw failure;
        }
        int version = io.vblora.kernels.global.vblora.vbl_abi_version();
        int expected = io.vblora.kernels.global.vblora.VBL_ABI_VERSION;
        if (version != expected) {
            failure = new NativeLibraryException("The native library found has ABI version " + version
                    + ", these classes need " + expected + ": the jars vblora-kernels and vblora-kernels:"
                    + Loader.getPlatform() + " must be of one version", null);
            throw failure;
        }
        loaded = true;
    }

    private static String explain(Throwable e) {
        String platform = Loader.getPlatform();
        String resource = "io/vblora/kernels/" + platform + "/";
        boolean present = NativeLibrary.class.getClassLoader().getResource(resource + "libjnivblora.so") != null;
        return "The native library jnivblora could not be loaded for platform " + platform + ". Looked for " + resource
                + "libjnivblora.so on the class path (" + (present ? "found" : "not found: is the jar vblora-kernels:"
                        + platform + " on the class path? Supported: linux-x86_64") + "), then on java.library.path="
                + System.getProperty("java.library.path") + ". Cause: " + e.getMessage();
    }
}
