package io.vblora.kernels;

import java.util.Optional;
import java.util.spi.ToolProvider;
import javax.tools.JavaCompiler;
import org.junit.jupiter.api.Assumptions;

/** What tests need beside the repository's own files: a test without it is skipped, and says so. */
public final class Prerequisite {
    private Prerequisite() {}

    /** Goes on if this is present. */
    public static void check(boolean present, String what) {
        if (!present) {
            String message = "SKIPPED: needs " + what;
            System.out.println(message);
            Assumptions.abort(message);
        }
    }

    /** A file that Maven puts on the tests' class path: {@code /ai/onnxruntime/OrtEnvironment.class}. */
    public static void onClassPath(String resource) {
        check(Prerequisite.class.getResource(resource) != null,
                resource + " on the class path, where Maven puts it for tests");
    }

    /** The JDK's compiler. */
    public static JavaCompiler javac() {
        JavaCompiler javac = javax.tools.ToolProvider.getSystemJavaCompiler();
        check(javac != null, "a JDK, for its javac");
        return javac;
    }

    /** The JDK's jdeps. */
    public static ToolProvider jdeps() {
        Optional<ToolProvider> jdeps = ToolProvider.findFirst("jdeps");
        check(jdeps.isPresent(), "a JDK, for its jdeps");
        return jdeps.get();
    }
}
