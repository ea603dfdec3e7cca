package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.vblora.adapter.AdapterFolder;
import io.vblora.data.Pipes;
import io.vblora.data.TokenizerFixture;
import io.vblora.kernels.DType;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.model.TinyBert;
import io.vblora.weights.InterruptedSave;
import io.vblora.weights.SafetensorsFile;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** finetune and evaluate with a small random encoder, on texts of four words whose class their words tell. */
class SequenceCommandsTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<String> WORDS = List.of("the", "bank", "of", "vectors");

    @TempDir
    Path folder;

    private Path model;
    private Path train;
    private Path heldOut;
    private Path output;

    /** A text, the other one of a pair, and how many banks the first has. */
    private record Row(String text, String other, int banks) {
        String label() {
            return banks == 0 ? "none" : banks == 1 ? "one" : "more";
        }
    }

    @BeforeEach
    void write() throws IOException {
        model = folder.resolve("model");
        TinyBert tiny = TinyBert.write(model, new Random(4), 4, Activation.GELU);
        assertEquals("bert", tiny.config().modelType(), "the seed has to give a model with two token types");
        TokenizerFixture.write(model);
        train = writeCsv("train.csv", rows(60, 1));
        heldOut = writeCsv("held-out.csv", rows(20, 2));
        output = folder.resolve("adapter");
    }

    private static List<Row> rows(int n, long seed) {
        Random random = new Random(seed);
        return Stream.generate(() -> {
            List<String> words = random.ints(2 + random.nextInt(6), 0, WORDS.size()).mapToObj(WORDS::get).toList();
            return new Row(String.join(" ", words), WORDS.get(random.nextInt(WORDS.size())),
                    (int) words.stream().filter("bank"::equals).count());
        }).limit(n).toList();
    }

    private Path writeCsv(String name, List<Row> rows) throws IOException {
        return Files.write(folder.resolve(name), Stream.concat(Stream.of("text,other,label,banks"), rows.stream()
                .map(row -> row.text() + "," + row.other() + "," + row.label() + "," + row.banks())).toList());
    }

    private CommandLineRun finetune(Object... more) {
        List<Object> arguments = new ArrayList<>(List.of("finetune", "--task", "sequence-classification", "--model",
                model, "--train", train, "--output", output, "--device", "cpu"));
        arguments.addAll(Arrays.asList(more));
        return CommandLineRun.of(arguments.toArray());
    }

    private CommandLineRun evaluate(Object... more) {
        List<Object> arguments = new ArrayList<>(List.of("evaluate", "--model", model, "--adapter", output, "--device",
                "cpu"));
        arguments.addAll(Arrays.asList(more));
        return CommandLineRun.of(arguments.toArray());
    }

    private static String[] options(String method) {
        return switch (method) {
            case "vblora" -> new String[] {"--method", method, "--vector-length", "4", "--num-vectors", "16"};
            default -> new String[] {"--method", method};
        };
    }

    private static Object[] join(Object[] first, Object... second) {
        return Stream.concat(Arrays.stream(first), Arrays.stream(second)).toArray();
    }

    /** What finetune says of held-out data: before and after, by the names that evaluate prints. */
    private static Map<String, double[]> heldOutScores(CommandLineRun run) {
        Map<String, double[]> scores = new LinkedHashMap<>();
        run.out().lines().filter(line -> line.startsWith("held-out ")).map(line -> line.split("[ ,]+"))
                .forEach(words -> scores.put(words[1].equals("loss") ? "eval_loss" : words[1],
                        new double[] {Double.parseDouble(words[2]), Double.parseDouble(words[4])}));
        return scores;
    }

    @ParameterizedTest
    @ValueSource(strings = {"head", "lora", "vblora"})
    void evaluateFindsWhatFinetuneSaid(String method) throws IOException {
        CommandLineRun run = finetune(join(options(method), "--eval", heldOut, "--num-train-epochs", 6,
                "--learning-rate-head", 0.05)).assertDone();
        Map<String, double[]> said = heldOutScores(run);
        assertEquals(List.of("eval_loss", "accuracy", "f1", "matthews_correlation"), List.copyOf(said.keySet()));
        assertTrue(said.get("eval_loss")[1] < said.get("eval_loss")[0] - 0.02, run.out());

        Path predictions = folder.resolve("predictions.tsv");
        JsonNode found = JSON.readTree(evaluate("--data", heldOut, "--json", "--predictions", predictions).assertDone()
                .out());
        assertEquals(20, found.get("examples").asInt());
        said.forEach((name, scores) -> assertEquals(scores[1], found.get(name).doubleValue(), 5.1e-7, name));

        List<String> lines = Files.readAllLines(predictions);
        assertEquals("label\tmore\tnone\tone", lines.get(0));
        List<Row> rows = rows(20, 2);
        int right = 0;
        for (int i = 0; i < rows.size(); i++) {
            String[] fields = lines.get(i + 1).split("\t");
            double[] probabilities = Arrays.stream(fields).skip(1).mapToDouble(Double::parseDouble).toArray();
            assertEquals(1, Arrays.stream(probabilities).sum(), 2e-6, "six digits each");
            assertEquals(Arrays.stream(probabilities).max().orElseThrow(),
                    probabilities[List.of("more", "none", "one").indexOf(fields[0])]);
            right += fields[0].equals(rows.get(i).label()) ? 1 : 0;
        }
        assertEquals(21, lines.size());
        assertEquals(found.get("accuracy").doubleValue(), right / 20.0, 1e-12);
        assertEquals(JSON.readTree(CommandLineRun.of("inspect", output, "--json").assertDone().out())
                .get("modules_to_save").asText(), "classifier");
    }

    /** A head of zeros gives each of three classes a third: a loss of ln 3. */
    @Test
    void theHeadBeginsWithTheModelsInitializerRange() throws IOException {
        Path config = model.resolve("config.json");
        Files.writeString(config, Files.readString(config).replaceFirst("\\{", "{\"initializer_range\": 0, "));
        CommandLineRun run = finetune("--method", "head", "--eval", heldOut, "--max-steps", 1).assertDone();
        assertEquals(Math.log(3), heldOutScores(run).get("eval_loss")[0], 5.1e-7);
    }

    /** The encoder's features then change with every step: those of held-out texts are not kept. */
    @Test
    void biasesOfTheEncoderAreTrainedBesideTheHead() throws IOException {
        CommandLineRun run = finetune("--method", "head", "--bias", "all", "--eval", heldOut, "--max-steps", 3,
                "--warmup-steps", 0, "--learning-rate", 0.01, "--learning-rate-head", 0, "--pooling", "mean")
                .assertDone();
        double[] loss = heldOutScores(run).get("eval_loss");
        assertTrue(Math.abs(loss[0] - loss[1]) > 1e-4, run.out());
        assertEquals(loss[1], JSON.readTree(evaluate("--data", heldOut, "--json").assertDone().out()).get("eval_loss")
                .doubleValue(), 5.1e-7);
        JsonNode inspected = JSON.readTree(CommandLineRun.of("inspect", output, "--json").assertDone().out());
        assertEquals("all", inspected.get("bias").asText());
        int layers = JSON.readTree(Files.readString(model.resolve("config.json"))).get("num_hidden_layers").asInt();
        // The embeddings' norm; six linear layers and two norms in a layer.
        assertEquals(1 + 8 * layers, inspected.get("biases").asInt());
    }

    /** Accuracy, and by hand: a constant answer has no correlation. */
    @Test
    void evaluatePrintsForPersons() {
        finetune("--method", "head", "--max-steps", 1).assertDone();
        CommandLineRun run = evaluate("--data", heldOut).assertDone();
        assertTrue(run.out().matches("(?s)examples +20\\Reval_loss +\\d\\.\\d{6}\\Raccuracy +\\d\\.\\d{6}\\R"
                + "f1 +\\d\\.\\d{6}\\Rmatthews_correlation +-?\\d\\.\\d{6}\\R"), run.out());
    }

    @Test
    void tunesForValues() throws IOException {
        finetune("--task", "sequence-regression").assertError(2, "'--task' (TASK) should be specified only once");
        CommandLineRun run = CommandLineRun.of(join(new Object[] {"finetune", "--task", "sequence-regression",
            "--model", model, "--train", train, "--eval", heldOut, "--output", output, "--label-column", "banks",
            "--num-train-epochs", 8, "--learning-rate-head", 0.05}, (Object[]) options("vblora"))).assertDone();
        Map<String, double[]> said = heldOutScores(run);
        assertEquals(List.of("eval_loss", "pearson", "spearmanr"), List.copyOf(said.keySet()));
        assertTrue(said.get("pearson")[1] > 0.3, run.out());
        assertTrue(run.out().contains("vblora evaluate --model " + model + " --adapter " + output
                + " --data FILE --label-column banks\n"), run.out());
        Path predictions = folder.resolve("predictions.tsv");
        JsonNode found = JSON.readTree(evaluate("--data", heldOut, "--label-column", "banks", "--json", "--predictions",
                predictions).assertDone().out());
        said.forEach((name, scores) -> assertEquals(scores[1], found.get(name).doubleValue(), 5.1e-7, name));
        List<String> lines = Files.readAllLines(predictions);
        assertEquals("value", lines.get(0));
        List<Row> rows = rows(20, 2);
        double squares = 0;
        for (int i = 0; i < rows.size(); i++) {
            squares += Math.pow(Float.parseFloat(lines.get(i + 1)) - rows.get(i).banks(), 2);
        }
        assertEquals(found.get("eval_loss").doubleValue(), squares / 20, 1e-12 + 1e-9 * squares);
        JsonNode task = JSON.readTree(output.resolve("task_config.json").toFile());
        assertEquals("regression", task.get("problem_type").asText());
    }

    /** The same examples in other dress. */
    @Test
    void readsPairsFromEveryFormat() throws IOException {
        List<Row> rows = rows(60, 1);
        Object[] columns = {"--text-column", "text", "--text-pair-column", "other", "--max-steps", 2};
        Object[] numbered = {"--text-column", 1, "--text-pair-column", 2, "--label-column", 3, "--max-steps", 2};
        Path tsv = Files.write(folder.resolve("rows.txt"), rows.stream()
                .map(row -> row.text() + "\t" + row.other() + "\t" + row.label() + "\r").toList());
        Path quoted = Files.write(folder.resolve("quoted.tsv"), rows.stream()
                .map(row -> '"' + row.text() + "\"\t" + row.other() + "\t\"" + row.label() + '"').toList());
        Path bars = Files.write(folder.resolve("bars.csv"), rows.stream()
                .map(row -> row.text() + "||" + row.other() + "||" + row.label()).toList());
        List<String> objects = rows.stream().map(row -> "{\"text\": \"" + row.text() + "\", \"other\": \"" + row.other()
                + "\", \"label\": \"" + row.label() + "\"}").toList();
        Path jsonl = Files.write(folder.resolve("rows.jsonl"), objects);
        Path json = Files.writeString(folder.resolve("rows.json"), "[" + String.join(",\n", objects) + "]");
        Map<Path, Object[]> dresses = new LinkedHashMap<>();
        dresses.put(train, columns);
        dresses.put(tsv, join(numbered, "--data-format", "tsv", "--no-header"));
        dresses.put(quoted, join(numbered, "--quoted", "--no-header"));
        dresses.put(bars, join(numbered, "--delimiter", "||", "--no-header", "--no-quoted"));
        dresses.put(jsonl, columns);
        dresses.put(json, columns);
        byte[] expected = null;
        for (Map.Entry<Path, Object[]> dress : dresses.entrySet()) {
            CommandLineRun.of(join(new Object[] {"finetune", "--task", "sequence-classification", "--model", model,
                "--train", dress.getKey(), "--output", output, "--method", "head", "--warmup-steps", 0},
                    dress.getValue())).assertDone();
            byte[] found = Files.readAllBytes(output.resolve("adapter_model.safetensors"));
            expected = expected == null ? found : expected;
            assertArrayEquals(expected, found, dress.getKey().toString());
        }
        finetune("--method", "head", "--max-steps", 2, "--warmup-steps", 0).assertDone();
        assertFalse(Arrays.equals(expected, Files.readAllBytes(output.resolve("adapter_model.safetensors"))),
                "a second text changes nothing");
        CommandLineRun.of("finetune", "--task", "sequence-classification", "--model", model, "--train", jsonl,
                "--output", output, "--no-header")
                .assertError(1, "--header: found it beside " + jsonl + ", which is JSON");
    }

    /** The same examples from files, from pipes and from standard input. */
    @Test
    void readsPipesAndStandardInput() throws Exception {
        Object[] options = {"--method", "head", "--max-steps", 2, "--data-format", "csv"};
        CommandLineRun ofFiles = finetune(join(options, "--eval", heldOut)).assertDone();
        byte[] expected = Files.readAllBytes(output.resolve("adapter_model.safetensors"));
        Path first = Pipes.make(folder.resolve("first"));
        Path second = Pipes.make(folder.resolve("second"));
        Path kept = train;
        train = first;
        finetune("--eval", first).assertError(2, "--eval: found " + first + ", the pipe that --train reads to its end");
        finetune("--eval", second).assertError(1, first + ": found a name that does not tell the format; expected one "
                + "that ends in .csv, .tsv, .json or .jsonl, or --data-format csv, tsv or json");
        Pipes.write(first, Files.readString(kept));
        Pipes.write(second, Files.readString(heldOut));
        CommandLineRun ofPipes = finetune(join(options, "--eval", second)).assertDone();
        assertEquals(heldOutScores(ofFiles).keySet(), heldOutScores(ofPipes).keySet());
        assertArrayEquals(expected, Files.readAllBytes(output.resolve("adapter_model.safetensors")));

        Process process = CommandLineRun.start(List.of(), "evaluate", "--model", model, "--adapter", output, "--data",
                "-", "--data-format", "csv", "--json");
        try (OutputStream in = process.getOutputStream()) {
            Files.copy(heldOut, in);
        }
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), printed);
        JsonNode scores = JSON.readTree(printed.substring(printed.indexOf('{')));
        heldOutScores(ofFiles).forEach((name, score) -> assertEquals(score[1], scores.get(name).doubleValue(), 5.1e-7));
    }

    /** A pipe that keeps its readers waiting is as a file that is long. */
    @Test
    void saysHowFarItReadsWhatTakesLong() throws Exception {
        CommandLineRun soon = finetune("--method", "head", "--max-steps", 1, "--eval", heldOut).assertDone();
        assertFalse(soon.err().contains("reading "), soon.err());
        Path pipe = Pipes.make(folder.resolve("pipe"));
        Pipes.writeSlowly(pipe, Files.readString(heldOut));
        CommandLineRun run = evaluate("--data", pipe, "--data-format", "csv").assertDone();
        assertTrue(run.err().contains(String.format("reading %s, %,d bytes%n", pipe, Files.size(heldOut))), run.err());
    }

    @Test
    void poolingIsChosenAndKept() throws IOException {
        List<byte[]> adapters = new ArrayList<>();
        for (String pooling : List.of("cls", "mean", "pooler", "auto")) {
            CommandLineRun run = finetune("--method", "head", "--pooling", pooling, "--max-steps", 3).assertDone();
            assertTrue(run.err().contains(pooling.equals("auto") ? "vblora: pooling: pooler; the model does not say "
                    + "how it is to be pooled, --pooling cls, mean or pooler does." : "vblora: pooling: " + pooling
                            + ", as --pooling says."), run.err());
            adapters.add(Files.readAllBytes(output.resolve("adapter_model.safetensors")));
            // TinyBert has a pooler, and that is what a Hugging Face folder without 1_Pooling uses.
            assertEquals(pooling.equals("auto") ? "pooler" : pooling,
                    JSON.readTree(output.resolve("task_config.json").toFile()).get("pooling").asText());
        }
        assertArrayEquals(adapters.get(2), adapters.get(3));
        assertTrue(evaluate("--data", heldOut).assertDone().err().contains(
                "vblora: pooling: pooler, as the adapter has it."));
        Files.createDirectories(model.resolve("1_Pooling"));
        Files.writeString(model.resolve("1_Pooling/config.json"), "{\"pooling_mode_mean_tokens\": true}");
        assertTrue(finetune("--method", "head", "--max-steps", 1).assertDone().err().contains(
                "vblora: pooling: mean, as the model says."));
        assertEquals(3, adapters.stream().map(Arrays::hashCode).distinct().count());
    }

    @Test
    void scoresOnTheWayAndKeepsTheBest() throws IOException {
        Path metrics = folder.resolve("metrics.jsonl");
        CommandLineRun run = finetune(join(options("lora"), "--eval", heldOut, "--max-steps", 12, "--eval-steps", 4,
                "--metric-for-best-model", "accuracy", "--load-best-model-at-end", "--metrics", metrics,
                "--learning-rate-head", 0.05, "--group-by-length")).assertDone();
        List<JsonNode> scored = new ArrayList<>();
        List<JsonNode> steps = new ArrayList<>();
        for (String line : Files.readAllLines(metrics)) {
            JsonNode json = JSON.readTree(line);
            (json.has("eval_loss") ? scored : steps).add(json);
        }
        assertEquals(List.of(0, 4, 8, 12), scored.stream().map(json -> json.get("step").asInt()).toList());
        assertTrue(steps.get(0).has("learning_rate") && steps.get(0).has("learning_rate_head"),
                steps.get(0).toString());
        JsonNode best = scored.stream().reduce((a, b) -> b.get("accuracy").doubleValue()
                > a.get("accuracy").doubleValue() ? b : a).orElseThrow();
        assertTrue(run.out().contains(String.format("the parameters after step %d, by accuracy",
                best.get("step").asInt())), run.out());
        assertEquals(best.get("accuracy").doubleValue(), heldOutScores(run).get("accuracy")[1], 5.1e-7);
        assertEquals(best.get("accuracy"), JSON.readTree(evaluate("--data", heldOut, "--json").assertDone().out())
                .get("accuracy"));

        // Learning rates of 0: nothing gets better, so it stops after two evaluations without gain
        run = finetune("--method", "head", "--learning-rate-head", 0, "--eval", heldOut, "--max-steps", 100,
                "--eval-steps", 3, "--early-stopping-patience", 2).assertDone();
        assertTrue(run.out().contains("parameters in 6 steps"), run.out());
        finetune("--method", "head", "--eval", heldOut, "--metric-for-best-model", "pearson")
                .assertError(1, "error: --metric-for-best-model: found pearson; expected one of eval_loss, accuracy");
    }

    @Test
    void goesOnFromAnAdapterWithItsTask() throws IOException {
        Path first = folder.resolve("first");
        CommandLineRun.of(join(new Object[] {"finetune", "--task", "sequence-classification", "--model", model,
            "--train", train, "--eval", heldOut, "--output", first, "--pooling", "mean", "--max-seq-length", 12,
            "--max-steps", 10}, (Object[]) options("vblora"))).assertDone();
        Object[] goOn = {"finetune", "--init-adapter", first, "--model", model, "--train", train, "--eval", heldOut,
            "--output", output, "--max-steps", 1};
        CommandLineRun run = CommandLineRun.of(goOn).assertDone();
        evaluate("--data", heldOut).assertDone();
        JsonNode task = JSON.readTree(output.resolve("task_config.json").toFile());
        assertEquals("mean", task.get("pooling").asText());
        assertEquals(12, task.get("max_seq_length").asInt());
        JsonNode before = JSON.readTree(CommandLineRun.of("evaluate", "--model", model, "--adapter", first, "--data",
                heldOut, "--json").assertDone().out());
        assertEquals(before.get("eval_loss").doubleValue(), heldOutScores(run).get("eval_loss")[0], 5.1e-7);

        CommandLineRun.of(join(goOn, "--task", "causal-lm"))
                .assertError(2, "--task: found causal-lm; expected sequence-classification, as the adapter in "
                        + first);
        CommandLineRun.of(join(goOn, "--pooling", "cls")).assertError(2, "--pooling: found cls; expected mean, as");
        CommandLineRun.of(join(goOn, "--max-seq-length", 13))
                .assertError(2, "--max-seq-length: found 13; expected 12, as");
        CommandLineRun.of(join(goOn, "--method", "head")).assertError(2, "--method: found head; expected vblora, as");
        CommandLineRun.of(join(goOn, "--pooling", "mean", "--max-seq-length", 12, "--method", "vblora", "--task",
                "sequence-classification")).assertDone();

        Path other = Files.write(folder.resolve("other.csv"), List.of("text,label", "the bank,one", "of,many"));
        CommandLineRun.of("finetune", "--init-adapter", first, "--model", model, "--train", other, "--output", output)
                .assertError(1, other + ", line 3: label: found \"many\"; expected one of the labels");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "--prompt-column text            | --prompt-column means nothing to --task sequence-classification",
        "--prompt-template alpaca        | --prompt-template means nothing to --task sequence-classification",
        "--method head --r 4             | --r means nothing to --method head",
        "--method head --target-modules query | --target-modules means nothing to --method head",
        "--method head --topk 2          | --topk means nothing to --method head",
        "--method head --lora-alpha 2    | --lora-alpha means nothing to --method head",
        "--method head --save-only-topk-weights | --save-only-topk-weights means nothing to --method head",
        "--method lora --save-only-topk-weights | --save-only-topk-weights means nothing to --method lora",
        "--learning-rate-head -1         | --learning-rate-head: found -1;",
        "--eval-steps 3                  | --eval-steps without --eval",
        "--load-best-model-at-end        | --load-best-model-at-end without --eval",
        "--metric-for-best-model f1      | --metric-for-best-model without --eval",
        "--early-stopping-patience 2 --eval-steps 2 | --eval-steps without --eval",
        "--text-pair-column text         | found text, text, label",
        "--label-column text             | --label-column: found text, text; expected",
        "--pooling max                   | --pooling: found max; expected auto, cls, mean, pooler.",
        "--data-format xml               | --data-format: found xml; expected auto, json, csv, tsv.",
        "--delimiter ; --delimiter ,     | option '--delimiter' (TEXT) should be specified only once",
    })
    void refusesWrongUse(String options, String expected) {
        finetune((Object[]) options.split(" ")).assertError(2, expected);
        assertFalse(Files.exists(output));
    }

    @Test
    void refusesBadRowsByFileAndLine() throws IOException {
        Object[][] cases = {
            {"text,label\nthe bank,one\nof,more,9\n", ", line 3: "},
            {"text,label\nthe bank,one\nof,\n", ", line 3: label: found no label; expected one"},
            {"text,label\nthe bank,one\n,more\n", ", line 3: text: found a blank text; expected a text"},
            {"words,label\nthe bank,one\n", ", line 1: "},
            {"text,label\nthe bank,one\nof,one\n", "label: found only the label \"one\"; expected at least two"},
            {"text,label\n", "expected"},
        };
        for (Object[] c : cases) {
            Files.writeString(train, c[0].toString());
            finetune().assertError(1, train + "" + (c[1].toString().startsWith(",") ? c[1] : ""));
            assertTrue(finetune().err().contains(c[1].toString()), finetune()::toString);
            assertFalse(Files.exists(output));
        }
        writeCsv("train.csv", rows(60, 1));
        Files.writeString(heldOut, "text,label\nthe bank,one\nof,many\n");
        finetune("--eval", heldOut).assertError(1, heldOut + ", line 3: label: found \"many\"");
        Path text = Files.writeString(folder.resolve("train.txt"), "the bank");
        CommandLineRun.of("finetune", "--task", "sequence-classification", "--model", model, "--train", text,
                "--output", output).assertError(1, text + ": found a name that does not tell the format");
        Files.delete(model.resolve("tokenizer.json"));
        finetune().assertError(1, model.resolve("tokenizer.json") + ": found no such file");
        CommandLineRun.of("finetune", "--task", "sequence-classification", "--model", folder.resolve("none.onnx"),
                "--train", train, "--output", output)
                .assertError(1, "--model: found " + folder.resolve("none.onnx") + ", which does not exist; "
                        + "expected an encoder: a Hugging Face folder");
        assertFalse(Files.exists(output));
    }

    /** Without the end of that save, evaluate would take one's labels for the other's, or refuse both. */
    @Test
    void commandsFinishASaveThatWasInterrupted() throws IOException {
        finetune("--method", "head", "--max-steps", 1).assertDone();
        String expected = evaluate("--data", heldOut, "--json").assertDone().out();
        Path good = output;
        output = folder.resolve("other");
        Path two = Files.write(folder.resolve("two.csv"), List.of("text,label", "the bank,one", "of,none"));
        CommandLineRun.of("finetune", "--task", "sequence-classification", "--model", model, "--train", two, "--output",
                output, "--method", "head", "--max-steps", 1).assertDone();
        for (int i = 0; i < 2; i++) {
            InterruptedSave.leave(output, AdapterFolder.FILES, good);
            assertEquals(expected, evaluate("--data", heldOut, "--json").assertDone().out());
            assertEquals(3, output.toFile().list().length);
            output = folder.resolve("new");
        }
        InterruptedSave.leave(output, AdapterFolder.FILES, good);
        Files.writeString(output.resolve("task_config.json"), "{}");
        evaluate("--data", heldOut).assertError(1, output
                + ": found a save that was interrupted, and task_config.json");
        finetune().assertError(1, output + ": found a save that was interrupted, and task_config.json");
        CommandLineRun.of("inspect", output).assertError(1, "interrupted, and task_config.json, which was changed");
    }

    @Test
    void evaluateRefusesWhatDoesNotFit() throws IOException {
        evaluate("--data", heldOut).assertError(1, "--adapter: found " + output + ", which does not exist");
        finetune("--method", "head", "--max-steps", 1).assertDone();
        Path config = output.resolve("task_config.json");
        byte[] kept = Files.readAllBytes(config);
        evaluate("--data", heldOut, "--max-seq-length", 5).assertError(2, "--max-seq-length: found 5; expected 32, as");
        evaluate("--data", heldOut, "--predictions", heldOut).assertError(2, "--predictions: found " + heldOut);
        evaluate("--data", heldOut, "--predictions", config).assertError(2, "--predictions: found " + config);
        evaluate("--data", heldOut, "--per-device-eval-batch-size", 0)
                .assertError(2, "--per-device-eval-batch-size: found 0");
        evaluate("--data", heldOut, "--prompt-column", "text")
                .assertError(2, "--prompt-column means nothing to --task");
        evaluate("--data", heldOut, "--label-column", "class").assertError(1, heldOut.toString());
        assertArrayEquals(kept, Files.readAllBytes(config));
        Files.writeString(config, Files.readString(config).replace("single_label_classification", "ranking"));
        evaluate("--data", heldOut).assertError(1, config + ": problem_type: found \"ranking\"");
        Files.delete(config);
        for (CommandLineRun run : List.of(evaluate("--data", heldOut), CommandLineRun.of("finetune", "--init-adapter",
                output, "--model", model, "--train", train, "--output", folder.resolve("new")))) {
            run.assertError(1, config + ": found no such file, although adapter_config.json has task_type SEQ_CLS; "
                    + "expected the adapter's task as finetune writes it, for example {\"problem_type\"");
        }
        // What the message shows is what is read.
        String message = evaluate("--data", heldOut).err();
        Files.writeString(config, message.substring(message.indexOf('{'), message.lastIndexOf('}') + 1)
                .replace("\"0\": \"no\", \"1\": \"yes\"", "\"0\": \"more\", \"1\": \"none\", \"2\": \"one\"")
                .replace("128", "32"));
        evaluate("--data", heldOut).assertDone();
        Path nowhere = folder.resolve("nowhere");
        CommandLineRun.of("evaluate", "--model", nowhere, "--adapter", output, "--data", heldOut).assertError(1,
                "--model: found " + nowhere + ", which does not exist; expected an encoder: a Hugging Face folder, a "
                        + "folder with model.onnx and tokenizer.json, or an .onnx file with tokenizer.json beside it");
    }

    /** causal-lm is the default task: an encoder without --task is a likely mistake. */
    @Test
    void saysWhichTasksEncodersAreFor() throws IOException {
        Object[] causal = {"finetune", "--model", model, "--train", train, "--output", output};
        CommandLineRun.of(causal).assertError(1, "model_type: found \"bert\"; expected \"llama\"; encoders of BERT's "
                + "type are for sequence-classification and sequence-regression");
        Files.delete(model.resolve("config.json"));
        CommandLineRun.of(causal).assertError(1, "--model: found " + model + ", which has no config.json; expected a "
                + "language model: a Hugging Face folder with config.json and model.safetensors; encoders are for "
                + "sequence-classification and sequence-regression");
    }

    /** Text alone gets the predictions that the same text with labels gets. */
    @Test
    void evaluatePredictsWithoutLabels() throws IOException {
        finetune("--method", "head", "--max-steps", 3).assertDone();
        Path labelled = folder.resolve("labelled.tsv");
        Path unlabelled = folder.resolve("unlabelled.tsv");
        evaluate("--data", heldOut, "--predictions", labelled).assertDone();
        Path texts = Files.write(folder.resolve("texts.csv"), Stream.concat(Stream.of("text"), rows(20, 2).stream()
                .map(Row::text)).toList());
        CommandLineRun run = evaluate("--data", texts, "--no-labels", "--predictions", unlabelled).assertDone();
        assertEquals("examples  20", run.out().strip());
        assertEquals(Files.readString(labelled), Files.readString(unlabelled));
        evaluate("--data", texts, "--no-labels").assertError(2, "--no-labels without --predictions");
        evaluate("--data", texts, "--no-labels", "--predictions", unlabelled, "--label-column", "label")
                .assertError(2, "Both --no-labels and --label-column");
        evaluate("--data", texts, "--predictions", unlabelled).assertError(1, texts.toString());
    }

    @Test
    void evaluateWantsAHeadForAnEncoder() {
        CommandLineRun.of("evaluate", "--model", model, "--data", heldOut).assertError(1, "--adapter: found none "
                + "beside " + model + ", an encoder; expected an adapter's folder, whose head makes classes or values");
    }

    /** Found before any work is done: the data is not even there. */
    @Test
    void refusesToWritePredictionsWhereThatCannotBeDone() {
        finetune("--method", "head", "--max-steps", 1).assertDone();
        Path nothing = folder.resolve("nothing.csv");
        Path missing = folder.resolve("missing/predictions.tsv");
        evaluate("--data", nothing, "--predictions", missing)
                .assertError(1, "--predictions: found " + missing + ", whose folder does not exist; expected a file");
        evaluate("--data", nothing, "--predictions", folder)
                .assertError(1, "--predictions: found " + folder + ", which is a folder; expected a file in a folder");
    }

    /** A line for each row, whatever becomes of it: the rows that have predictions have those they get alone. */
    @Test
    void predictionsHaveALineForEachRow() throws IOException {
        finetune("--method", "head", "--max-steps", 3, "--max-seq-length", 6).assertDone();
        Path predictions = folder.resolve("predictions.tsv");
        Path texts = Files.writeString(folder.resolve("texts.csv"),
                "text,n\nthe bank,1\nof of of of of of of of,2\n,3\n\nbank,4\n");
        Path alone = Files.writeString(folder.resolve("alone.csv"), "text,n\nthe bank,1\n,3\nbank,4\n");
        evaluate("--data", alone, "--no-labels", "--predictions", predictions).assertDone();
        List<String> expected = new ArrayList<>(Files.readAllLines(predictions));
        assertEquals(4, expected.size());
        expected.add(2, "\tNaN\tNaN\tNaN");
        CommandLineRun run = evaluate("--data", texts, "--no-labels", "--predictions", predictions, "--overlong",
                "skip", "--json").assertDone();
        assertEquals(expected, Files.readAllLines(predictions));
        assertEquals(JSON.readTree("{\"examples\": 3, \"skipped\": 1}"), JSON.readTree(run.out()));
        assertTrue(run.err().contains("evaluation data: 3 examples, 6 tokens, longest 3, 1 skipped."), run.err());
        Files.writeString(texts, "text\nof of of of of of of of\n");
        evaluate("--data", texts, "--no-labels", "--predictions", predictions, "--overlong", "skip").assertDone();
        assertEquals(List.of("label\tmore\tnone\tone", "\tNaN\tNaN\tNaN"), Files.readAllLines(predictions));
        evaluate("--data", texts, "--no-labels", "--predictions", predictions, "--overlong", "error")
                .assertError(1, texts + ", line 2: found more than 6 tokens in row 1; expected at most 6");
        evaluate("--data", texts, "--overlong", "keep").assertError(2, "found keep; expected cut, skip, error");
    }

    /** Bits of the adapter do not depend on threads; those of held-out scores neither. */
    @Test
    void givesTheSameOnAnyNumberOfThreads() throws IOException {
        List<byte[]> adapters = new ArrayList<>();
        List<String> scores = new ArrayList<>();
        for (int threads : new int[] {1, 2, 3}) {
            CommandLineRun run = finetune(join(options("vblora"), "--eval", heldOut, "--max-steps", 6, "--threads",
                    threads)).assertDone();
            assertTrue(run.err().contains(threads == 1 ? "with 1 thread." : "with " + threads + " threads."),
                    run.err());
            adapters.add(Files.readAllBytes(output.resolve("adapter_model.safetensors")));
            scores.add(run.out().lines().filter(line -> line.startsWith("held-out")).collect(Collectors.joining("\n")));
        }
        assertArrayEquals(adapters.get(0), adapters.get(1));
        assertArrayEquals(adapters.get(0), adapters.get(2));
        assertEquals(1, scores.stream().distinct().count(), scores::toString);
    }

    /** Logits of a head whose finite weights are too large for float32 products. */
    @Test
    void predictionsThatAreNoNumbersAreNotWritten() throws IOException {
        finetune("--method", "head", "--max-steps", 1).assertDone();
        Path weights = output.resolve("adapter_model.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(weights)) {
            SafetensorsWriter huge = new SafetensorsWriter();
            for (String name : file.names()) {
                long[] shape = file.entry(name).dimensions();
                float[] values = new float[(int) Arrays.stream(shape).reduce(1, (x, y) -> x * y)];
                Arrays.fill(values, 3e38f);
                huge.add(name, DType.FLOAT32, shape, () -> Tensor.of(values, shape));
            }
            huge.write(weights);
        }
        Path predictions = folder.resolve("predictions.tsv");
        for (String[] more : new String[][] {{}, {"--no-labels"}}) {
            evaluate(join(more, "--data", heldOut, "--predictions", predictions)).assertError(1, " has a logit of ");
            assertFalse(Files.exists(predictions));
        }
    }
}
