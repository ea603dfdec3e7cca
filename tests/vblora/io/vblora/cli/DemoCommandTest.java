package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.kernels.Tensor;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The demo as it is shipped, on a random encoder of one layer that knows the most frequent words of its data. */
class DemoCommandTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** What the demo's vector length divides. */
    private static final int HIDDEN = 128;
    private static final int WORDS = 400;

    @TempDir
    Path folder;

    private static String shipped(String name) throws IOException {
        try (InputStream in = DemoCommand.class.getResourceAsStream("/io/vblora/demo/" + name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private Path encoder() throws IOException {
        Path model = Files.createDirectory(folder.resolve("encoder"));
        Map<String, Long> counts = Arrays.stream(shipped("train.csv").toLowerCase().split("[^a-z']+"))
                .collect(Collectors.groupingBy(Function.identity(), Collectors.counting()));
        List<String> words = counts.keySet().stream().sorted(Comparator.comparing((String word) -> -counts.get(word))
                .thenComparing(word -> word)).limit(WORDS - 1).toList();
        ObjectNode vocabulary = JSON.createObjectNode().put("<unk>", 0);
        words.forEach(word -> vocabulary.put(word, vocabulary.size()));
        ObjectNode tokenizer = JSON.createObjectNode().put("version", "1.0");
        tokenizer.putArray("added_tokens");
        tokenizer.putObject("normalizer").put("type", "Lowercase");
        tokenizer.putObject("pre_tokenizer").put("type", "Whitespace");
        tokenizer.putNull("post_processor").putNull("decoder").putObject("model").put("type", "WordLevel")
                .put("unk_token", "<unk>").set("vocab", vocabulary);
        JSON.writeValue(model.resolve("tokenizer.json").toFile(), tokenizer);
        Files.writeString(model.resolve("config.json"), """
                {"model_type": "bert", "hidden_size": %1$d, "intermediate_size": %1$d, "num_hidden_layers": 1,
                 "num_attention_heads": 2, "vocab_size": %2$d, "max_position_embeddings": 128}
                """.formatted(HIDDEN, WORDS));
        Random random = new Random(7);
        Map<String, Tensor> weights = new LinkedHashMap<>();
        weights.put("embeddings.word_embeddings.weight", matrix(random, WORDS, 1));
        weights.put("embeddings.position_embeddings.weight", matrix(random, 128, 0.1));
        weights.put("embeddings.token_type_embeddings.weight", matrix(random, 2, 0.1));
        for (String norm : List.of("embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output")) {
            weights.put(norm + ".LayerNorm.weight", vector(1));
            weights.put(norm + ".LayerNorm.bias", vector(0));
        }
        for (String linear : List.of("attention.self.query", "attention.self.key", "attention.self.value",
                "attention.output.dense", "intermediate.dense", "output.dense")) {
            weights.put("encoder.layer.0." + linear + ".weight", matrix(random, HIDDEN, 1 / Math.sqrt(HIDDEN)));
            weights.put("encoder.layer.0." + linear + ".bias", vector(0));
        }
        new SafetensorsWriter().addAll(weights).write(model.resolve("model.safetensors"));
        weights.values().forEach(Tensor::close);
        return model;
    }

    private static Tensor matrix(Random random, int rows, double spread) {
        float[] values = new float[rows * HIDDEN];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (spread * random.nextGaussian());
        }
        return Tensor.of(values, rows, HIDDEN);
    }

    private static Tensor vector(float value) {
        float[] values = new float[HIDDEN];
        Arrays.fill(values, value);
        return Tensor.of(values, HIDDEN);
    }

    /** Without the table's last column, the seconds. */
    private static String numbers(String out) {
        return out.replaceAll("(?m)^((?:head alone|LoRA|VB-LoRA) .*?) +\\S+$", "$1");
    }

    @Test
    void comparesTheMethodsWithTheSameNumbersOnEveryRun() throws IOException {
        Path model = encoder();
        Path output = folder.resolve("demo");
        Object[] arguments = {"demo", "--model", model, "--output", output, "--device", "cpu", "--threads"};
        Object[] one = Arrays.copyOf(arguments, arguments.length + 1);
        one[arguments.length] = 1;
        Object[] two = one.clone();
        two[arguments.length] = 2;
        CommandLineRun run = CommandLineRun.of(one).assertDone();
        assertEquals(shipped("train.csv"), Files.readString(output.resolve("train.csv")));
        assertEquals(shipped("held-out.csv"), Files.readString(output.resolve("held-out.csv")));

        Map<String, String[]> table = run.out().lines().filter(line -> line.matches("(head alone|LoRA|VB-LoRA) .*%.*"))
                .map(line -> line.split(" {2,}")).collect(Collectors.toMap(fields -> fields[0], fields -> fields));
        assertEquals(3, table.size(), run.out());
        for (Map.Entry<String, String> method : Map.of("head alone", "head", "LoRA", "lora", "VB-LoRA", "vblora")
                .entrySet()) {
            String[] row = table.get(method.getKey());
            Path adapter = output.resolve(method.getValue());
            JsonNode inspected = JSON.readTree(CommandLineRun.of("inspect", adapter, "--json").assertDone().out());
            assertEquals(String.format("%,d", inspected.get("parameters").asLong()), row[2], run.out());
            assertEquals(inspected.get("stored_file_bytes").asLong(), bytes(row[3]) + bytes(row[4]), run.out());
            // By chance one in twelve of 192 is right, 8.3 %, with a standard deviation of 2.0: five of them above
            double accuracy = Double.parseDouble(row[1].replace(" %", ""));
            assertTrue(accuracy > 18.3, run.out());
            JsonNode scores = JSON.readTree(CommandLineRun.of("evaluate", "--model", model, "--adapter", adapter,
                    "--data", output.resolve("held-out.csv"), "--label-column", "intent", "--json").assertDone().out());
            assertEquals(scores.get("accuracy").doubleValue(), accuracy / 100, 5.1e-4);
        }
        assertTrue(run.err().contains("step 1/") && run.out().contains("Next:"), run::toString);

        assertEquals(numbers(run.out()), numbers(CommandLineRun.of(two).assertDone().out()));
    }

    private static long bytes(String printed) {
        return Long.parseLong(printed.replace(",", ""));
    }

    @Test
    void replacesNoFileThatIsNotItsOwn() throws IOException {
        Path own = Files.writeString(folder.resolve("train.csv"), "text,label");
        CommandLineRun.of("demo", "--model", encoder(), "--output", folder)
                .assertError(1, "--output: found " + own + ", which is not the demo's");
        assertEquals("text,label", Files.readString(own));
    }

    @Test
    void saysWhatIsMissing() {
        CommandLineRun.of("demo").assertError(2, "Missing required option: '--model=PATH'");
        Path output = folder.resolve("demo");
        CommandLineRun.of("demo", "--model", folder, "--output", output)
                .assertError(1, "tokenizer.json: found no such");
        CommandLineRun.of("demo", "--model", folder.resolve("none"), "--output", output)
                .assertError(1, "--model: found " + folder.resolve("none") + ", which does not exist");
        assertFalse(Files.exists(output));
        CommandLineRun.of("demo", "--model", folder, "--threads", -1).assertError(2, "--threads: found -1");
    }
}
