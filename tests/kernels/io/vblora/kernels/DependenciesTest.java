package io.vblora.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The kernels need the JDK's java.* packages and JavaCPP, and nothing else. */
class DependenciesTest {
    @Test
    void javacppIsTheOnlyDependency() throws Exception {
        Path classes = Path.of(NativeLibrary.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        StringWriter out = new StringWriter();
        PrintWriter printer = new PrintWriter(out);
        List<String> arguments = new ArrayList<>(List.of("-verbose:class", "--ignore-missing-deps"));
        try (Stream<Path> files = Files.walk(classes)) { // one by one: with a module jdeps wants all that it requires
            files.map(Path::toString).filter(file -> file.endsWith(".class") && !file.endsWith("module-info.class"))
                    .forEach(arguments::add);
        }
        int code = Prerequisite.jdeps().run(printer, printer, arguments.toArray(String[]::new));
        assertEquals(0, code, out::toString);

        // "   io.vblora.kernels.Arena   -> org.bytedeco.javacpp.Pointer   not found"
        List<String> dependencies = out.toString().lines().filter(line -> line.startsWith("   "))
                .map(line -> line.strip().split("\\s+")).filter(words -> words.length > 2 && words[1].equals("->"))
                .map(words -> words[0] + " -> " + words[2]).toList();
        assertTrue(dependencies.contains("io.vblora.kernels.NativeLibrary -> org.bytedeco.javacpp.Loader"),
                () -> "jdeps prints in a form not understood:\n" + out);
        assertEquals(List.of(), dependencies.stream()
                .filter(line -> !line.matches(".* -> (java|org\\.bytedeco\\.javacpp|io\\.vblora\\.kernels)\\..*"))
                .toList());
    }
}
