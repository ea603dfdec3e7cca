package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.Adapter;
import io.vblora.kernels.Stream;
import io.vblora.weights.SafetensorsFile;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import javax.tools.JavaCompiler;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The Java example of the README compiles, and trains an adapter that loads. */
class ReadmeExampleTest {
    @Test
    void theExampleTrains(@TempDir Path temporary) throws Exception {
        Path adapterFolder = temporary.resolve("adapter");
        Path data = Files.write(temporary.resolve("train.txt"), rows());
        compile(example()
                .replace("\"model\"", literal(Golden.own("models/tinyrand")))
                .replace("\"train.txt\"", literal(data))
                .replace("Tokenizer.open(folder)", "null")  // the random model has none, and the data needs none
                .replace("\"adapter\"", literal(adapterFolder)), temporary);
        try (URLClassLoader loader = new URLClassLoader(new URL[] {temporary.toUri().toURL()})) {
            loader.loadClass("Example").getMethod("run").invoke(null);
        } catch (InvocationTargetException e) {
            throw e.getCause() instanceof Exception cause ? cause : e;
        }
        try (Stream stream = Stream.cpu(1); Adapter adapter = Adapter.load(adapterFolder, stream)) {
            assertEquals(35, adapter.modules().size());
        }
    }

    /** A few documents of the golden training run, already tokenised. */
    private static List<String> rows() {
        try (SafetensorsFile file = SafetensorsFile.open(Golden.own("traj/tinyrand_b16/batches.safetensors"));
                var ids = file.read("input_ids")) {
            int[] all = ids.toInts();
            return IntStream.range(0, 8)
                    .mapToObj(i -> Arrays.toString(Arrays.copyOfRange(all, 64 * i, 64 * i + 64)))
                    .map(row -> "{\"input_ids\": " + row + "}")
                    .toList();
        }
    }

    private static String example() throws Exception {
        Matcher block = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL)
                .matcher(Files.readString(Path.of(System.getProperty("vblora.root"), "README.md")));
        assertTrue(block.find(), "the README has no Java example");
        return block.group(1);
    }

    private static String literal(Path path) {
        return '"' + path.toString().replace("\\", "\\\\") + '"';
    }

    private static void compile(String body, Path folder) {
        int code = body.indexOf("\n\n");
        String source = body.substring(0, code) + "public class Example { public static void run() throws Exception {\n"
                + body.substring(code) + "}}";
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        StringWriter messages = new StringWriter();
        boolean compiled = compiler.getTask(messages, null, null, List.of("-d", folder.toString(), "-proc:none"), null,
                List.of(new SimpleJavaFileObject(URI.create("string:///Example.java"),
                        SimpleJavaFileObject.Kind.SOURCE) {
                    @Override
                    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                        return source;
                    }
                })).call();
        assertTrue(compiled, () -> messages + "\n" + source);
    }
}
