package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.Prerequisite;
import io.vblora.train.Trainer;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The packages depend downwards only. A sub-package that is no layer of its own belongs to the package above it. */
class PackageDependenciesTest {
    /** From the lowest; "" is io.vblora itself. */
    private static final List<String> LAYERS =
            List.of("kernels", "", "regex", "weights", "onnx", "blas", "parameters", "optimizer", "optimizer.adamw",
                    "adapter.peft", "adapter", "adapter.methods.lora", "adapter.methods.vblora", "adapter.methods",
                    "model.config", "model.onnx", "model", "data", "eval", "train", "cli");

    // "   io.vblora.cli.Main   -> io.vblora.train.Trainer   classes"
    private static final Pattern DEPENDENCY =
            Pattern.compile("\\s+(io\\.vblora\\.\\S+)\\s+-> (io\\.vblora\\.\\S+)\\s.*");

    @Test
    void packagesDependDownwardsOnly() throws Exception {
        StringWriter out = new StringWriter();
        PrintWriter printer = new PrintWriter(out);
        List<String> arguments = new ArrayList<>(List.of("-verbose:class", "--ignore-missing-deps"));
        for (Path classes : new TreeSet<>(List.of(classesOf(InputException.class), classesOf(Trainer.class)))) {
            try (Stream<Path> files = Files.walk(classes)) { // one by one: with a module jdeps wants all it requires
                files.map(Path::toString)
                        .filter(file -> file.endsWith(".class") && !file.endsWith("module-info.class"))
                        .forEach(arguments::add);
            }
        }
        int code = Prerequisite.jdeps().run(printer, printer, arguments.toArray(String[]::new));
        assertEquals(0, code, out::toString);

        List<Matcher> dependencies =
                out.toString().lines().map(DEPENDENCY::matcher).filter(Matcher::matches).toList();
        assertTrue(dependencies.size() > 10, () -> "jdeps prints in a form not understood:\n" + out);
        assertEquals(List.of(), dependencies.stream().filter(found -> layer(found.group(1)) < layer(found.group(2)))
                .map(found -> found.group(1) + " -> " + found.group(2)).toList());
    }

    /** The folder of an artifact's classes, beside which Maven puts its jar. */
    private static Path classesOf(Class<?> one) throws URISyntaxException {
        Path location = Path.of(one.getProtectionDomain().getCodeSource().getLocation().toURI());
        return Files.isDirectory(location) ? location : location.resolveSibling("classes");
    }

    private static int layer(String className) {
        String name = className.replaceFirst("\\.?[A-Z].*", "").replaceFirst("io\\.vblora\\.?", "");
        String known = name;
        while (!LAYERS.contains(known) && known.contains(".")) {
            known = known.substring(0, known.lastIndexOf('.'));
        }
        int layer = LAYERS.indexOf(known);
        assertTrue(layer >= 0, () -> className + " is in no known layer; they are, from the lowest: " + LAYERS);
        return layer;
    }
}
