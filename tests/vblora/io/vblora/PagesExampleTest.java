package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterFolder;
import io.vblora.data.CausalLmConfig;
import io.vblora.data.TokenizerFixture;
import io.vblora.kernels.Prerequisite;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.Activation;
import io.vblora.model.SequenceConfig;
import io.vblora.model.TinyBert;
import io.vblora.weights.SafetensorsFile;
import java.io.File;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import javax.tools.JavaCompiler;
import javax.tools.SimpleJavaFileObject;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The Java examples in the pages of the documentation compile, and train adapters that load. */
class PagesExampleTest {
    private static final String CLASSIFIER_PAGE = "README.md";
    /** The imports of all examples, and the language model. */
    private static final String JAVA_PAGE = "docs/java.md";

    @TempDir
    Path temporary;

    private final JavaCompiler javac = Prerequisite.javac();

    @Test
    void theClassifierTrains() throws Exception {
        Path adapterFolder = temporary.resolve("adapter");
        run("Classifier", classifier(adapterFolder));
        assertIsClassifier(adapterFolder);
    }

    /** In a process whose libraries are all on the module path; the application requires io.vblora and nothing else. */
    @Test
    void theClassifierTrainsInAModule() throws Exception {
        Path adapterFolder = temporary.resolve("adapter");
        Path application = temporary.resolve("application");
        String modulePath = modulePath();
        compile(Map.of("module-info", "module application { requires io.vblora; }",
                "application.Classifier", "package application;\n"
                        + inClass("Classifier", "main(String[] arguments)", classifier(adapterFolder))),
                "-d", application.toString(), "--module-path", modulePath);
        runModule(modulePath + File.pathSeparator + application, "application/application.Classifier");
        assertIsClassifier(adapterFolder);
    }

    /** picocli reads and sets fields of a package that is not exported. */
    @Test
    void theCommandLineRunsAsAModule() throws Exception {
        String shown = runModule(modulePath(), "io.vblora/io.vblora.cli.Main", "inspect",
                Golden.own("traj/tinyrand_b16/adapter_init").toString());
        assertTrue(shown.contains("VBLORA"), shown);
    }

    private String classifier(Path adapterFolder) throws Exception {
        Path encoder = temporary.resolve("encoder");
        TinyBert.write(encoder, new Random(4), 4, Activation.GELU);
        TokenizerFixture.write(encoder);
        Path data = Files.write(temporary.resolve("train.csv"),
                List.of("text,label", "the bank,money", "of vectors,maths", "the vectors,maths", "bank,money"));
        return imports() + "\n" + example(CLASSIFIER_PAGE, 0)
                .replace("128", "4")  // the small encoder's dimensions, and tokens; before paths, which may hold it
                .replace("\"encoder\"", literal(encoder))
                .replace("\"train.csv\"", literal(data))
                .replace("\"adapter\"", literal(adapterFolder));
    }

    private static void assertIsClassifier(Path adapterFolder) {
        try (Stream stream = Stream.cpu(1); Adapter adapter = Adapter.load(adapterFolder, stream)) {
            assertEquals(List.of("classifier"), adapter.config().modulesToSave());
            assertEquals(List.of("maths", "money"), SequenceConfig.read(adapterFolder).labels());
        }
    }

    @Test
    void theLanguageModelTrains() throws Exception {
        Path adapterFolder = temporary.resolve("adapter");
        Files.createDirectory(adapterFolder);
        Files.writeString(adapterFolder.resolve("task_config.json"), "{}");
        Path data = Files.write(temporary.resolve("train.txt"), rows());
        run("LanguageModel", imports() + "\n" + example(JAVA_PAGE, 1)
                .replace("\"model\"", literal(Golden.own("models/tinyrand")))
                .replace("\"train.txt\"", literal(data))
                .replace("Tokenizer.open(folder)", "null")  // the random model has none, and the data needs none
                .replace("\"adapter\"", literal(adapterFolder)));
        try (Stream stream = Stream.cpu(1); Adapter adapter = Adapter.load(adapterFolder, stream)) {
            assertEquals(35, adapter.modules().size());
            assertEquals(Optional.of(new CausalLmConfig(null, null, 512)),
                    CausalLmConfig.of(AdapterFolder.read(adapterFolder)), "not the task of another adapter");
        }
    }

    @Test
    void aBatchUsesSeveralAdapters() throws Exception {
        Path adapter = Golden.own("traj/tinyrand_b16/adapter_init");
        run("Several", imports() + """

                int[] first = {1, 2, 3};
                int[] second = {4};
                int[] third = {5, 6};
                try (Stream stream = Stream.cpu(1);
                        LlamaModel model = LlamaModel.load(Path.of(%s), null, stream);
                        Execution execution = new Execution(stream, Blas.on(stream.device()))) {
                %s}
                """.formatted(literal(Golden.own("models/tinyrand")), example(JAVA_PAGE, 2)
                .replace("\"polite\"", literal(adapter)).replace("\"terse\"", literal(adapter))));
    }

    private void run(String name, String body) throws Exception {
        compile(Map.of(name, inClass(name, "run()", body)), "-d", temporary.toString());
        try (URLClassLoader loader = new URLClassLoader(new URL[] {temporary.toUri().toURL()})) {
            loader.loadClass(name).getMethod("run").invoke(null);
        } catch (InvocationTargetException e) {
            throw e.getCause() instanceof Exception cause ? cause : e;
        }
    }

    /** The class path of this process without the tests and what they alone need. */
    private static String modulePath() {
        String classPath = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        return Arrays.stream(classPath.split(File.pathSeparator))
                .filter(entry -> !Path.of(entry).getFileName().toString()
                        .matches("test-classes|.*-tests\\.jar"
                                + "|(junit|opentest4j|apiguardian|onnxruntime|langchain4j|cuda)-.*"))
                .collect(Collectors.joining(File.pathSeparator));
    }

    /** Runs the class of a module in a process of its own; what it printed. */
    private static String runModule(String modulePath, String mainClass, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--module-path", modulePath));
        String cache = System.getProperty("org.bytedeco.javacpp.cachedir");
        if (cache != null) {
            command.add("-Dorg.bytedeco.javacpp.cachedir=" + cache);
        }
        command.addAll(List.of("--module", mainClass));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        return output;
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

    /** A page whose Java is not in a test might have anything. */
    @Test
    void allExamplesAreTested() {
        assertEquals(Map.of(CLASSIFIER_PAGE, 1, JAVA_PAGE, 3),
                Page.all().stream().filter(page -> !page.blocks("java").isEmpty())
                        .collect(Collectors.toMap(Page::name, page -> page.blocks("java").size())));
    }

    private static String imports() {
        return example(JAVA_PAGE, 0);
    }

    /** A block of Java on a page, counted from 0. */
    private static String example(String page, int number) {
        return Page.of(page).blocks("java").get(number);
    }

    private static String literal(Path path) {
        return '"' + path.toString().replace("\\", "\\\\") + '"';
    }

    /** A public class with a static method of this signature. */
    private static String inClass(String name, String method, String body) {
        int code = body.indexOf("\n\n");
        return body.substring(0, code) + "public class " + name + " { public static void " + method
                + " throws Exception {\n" + body.substring(code) + "}}";
    }

    /** @param sources by the names of their classes */
    private void compile(Map<String, String> sources, String... options) {
        StringWriter messages = new StringWriter();
        List<SimpleJavaFileObject> files = sources.entrySet().stream().map(source -> file(source.getKey(),
                source.getValue())).toList();
        List<String> arguments = new ArrayList<>(List.of(options));
        arguments.add("-proc:none");
        assertTrue(javac.getTask(messages, null, null, arguments, null, files).call(),
                () -> messages + "\n" + sources);
    }

    private static SimpleJavaFileObject file(String className, String source) {
        return new SimpleJavaFileObject(URI.create("string:///" + className.replace('.', '/') + ".java"),
                SimpleJavaFileObject.Kind.SOURCE) {
            @Override
            public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                return source;
            }
        };
    }
}
