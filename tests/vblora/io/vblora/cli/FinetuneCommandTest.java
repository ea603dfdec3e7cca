package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.vblora.Golden;
import io.vblora.data.Pipes;
import io.vblora.data.TokenizerFixture;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.weights.SafetensorsFile;
import io.vblora.weights.SafetensorsWriter;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class FinetuneCommandTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Path MODEL = Golden.own("models/tinyrand");

    @TempDir
    Path folder;

    private Path train;
    private Path heldOut;
    private Path output;

    /** Rows of which each token is followed by one and the same other: something that can be learnt. */
    @BeforeEach
    void writeData() throws IOException {
        train = Files.write(folder.resolve("train.jsonl"), rows(24, 1));
        heldOut = Files.write(folder.resolve("held-out.jsonl"), rows(5, 2));
        output = folder.resolve("adapter");
    }

    private static List<String> rows(int n, long seed) {
        Random random = new Random(seed);
        return Stream.generate(() -> IntStream.iterate(random.nextInt(16), id -> (5 * id + 3) % 16)
                .limit(6 + random.nextInt(9))
                .boxed().toList()).limit(n).map(ids -> "{\"input_ids\": " + ids + "}").toList();
    }

    private CommandLineRun finetune(Object... more) {
        List<Object> arguments = new ArrayList<>(List.of("finetune", "--model", MODEL, "--train", train, "--output",
                output,
                "--device", "cpu"));
        arguments.addAll(Arrays.asList(more));
        return CommandLineRun.of(arguments.toArray());
    }

    /** A small bank that suits tinyrand's dimensions. */
    private CommandLineRun finetuneSmall(Object... more) {
        return finetune(Stream.concat(Stream.of("--num-vectors", 32, "--vector-length", 16), Arrays.stream(more))
                .toArray());
    }

    private static Set<String> namesIn(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(file -> file.getFileName().toString()).collect(Collectors.toSet());
        }
    }

    private static JsonNode inspect(Path path) throws IOException {
        return JSON.readTree(CommandLineRun.of("inspect", path, "--json").assertDone().out());
    }

    /** A pipe that keeps its readers waiting is as a file that is long. */
    @Test
    void saysHowFarItReadsWhatTakesLong() throws Exception {
        String text = Files.readString(train);
        train = Pipes.make(folder.resolve("pipe"));
        Pipes.writeSlowly(train, text);
        CommandLineRun run = finetuneSmall("--max-steps", 1).assertDone();
        assertTrue(run.err().contains(String.format("reading %s, %,d bytes%n", train, text.length())), run.err());
    }

    /** The options that the project promises, and the defaults that it documents. */
    @Test
    void helpHasAllOptionsAndDefaults() {
        String help = CommandLineRun.of("finetune", "--help").assertDone().out().replaceAll("\\s+", " ");
        for (String option : List.of("--model=PATH", "--train=FILE", "--eval=FILE", "--output=DIR", "--task=TASK",
                "--text-column=NAME", "--text-pair-column=NAME", "--label-column=NAME", "--data-format=FORMAT",
                "--[no-]quoted", "--[no-]header", "--overlong=WHAT", "--pooling=POOLING", "--learning-rate-head=RATE",
                "--group-by-length", "--eval-steps=N", "--metric-for-best-model=NAME", "--load-best-model-at-end",
                "--early-stopping-patience=N",
                "--method=METHOD", "--r=N", "--num-vectors=N", "--vector-length=N", "--topk=N",
                "--target-modules=MODULES",
                "--vblora-dropout=P", "--init-vector-bank-bound=X", "--init-logits-std=X",
                "--learning-rate-vector-bank=RATE",
                "--learning-rate-logits=RATE", "--learning-rate=RATE", "--optim=NAME", "--weight-decay=X",
                "--max-grad-norm=NORM",
                "--lr-scheduler-type=TYPE", "--warmup-ratio=SHARE", "--warmup-steps=N",
                "--per-device-train-batch-size=N",
                "--gradient-accumulation-steps=N", "--num-train-epochs=X", "--max-steps=N", "--max-seq-length=N",
                "--seed=N",
                "--no-shuffle", "--init-adapter=DIR", "--save-only-topk-weights", "--device=DEVICE", "--dtype=TYPE",
                "--threads=N", "--metrics=FILE")) {
            assertTrue(help.contains(" " + option + " "), option + " is not in " + help);
        }
        for (String stated : List.of("vectors in the bank, h (default: 256)",
                "(default: auto, or that of --init-adapter)",
                "learning rate of the vector bank (default: 0.001",
                "learning rate of the logits (default: 0.01", "vblora, lora, head (default: vblora",
                "causal-lm, sequence-classification, sequence-regression (default: causal-lm", "auto, json, csv, tsv;",
                "auto, cls, mean, pooler; auto is what the model says in 1_Pooling/config.json or its ONNX graph;",
                "learning rate of the head (default: 0.005)", "auto, cpu, cuda (default: auto)",
                "linear, cosine, constant (default: linear)", "all-linear)")) {
            assertTrue(help.contains(stated), stated + " is not in " + help);
        }
    }

    @Test
    void helpGroupsTheOptions() {
        String help = CommandLineRun.of("finetune", "--help").assertDone().out();
        assertTrue(help.matches("(?s).*--model=.*--threads=.*\\nData:\\n +--text-column=.*--max-seq-length=.*"
                + "\\nAdapter:\\n +--method=.*--lora-dropout=.*"
                + "\\nTraining:\\n +--learning-rate=.*--early-stopping-patience.*--learning-rate-vector-bank=.*"),
                help);
        assertEquals(help.indexOf(" --seed="), help.lastIndexOf(" --seed="), help);
    }

    @Test
    void trainsAndWritesAnAdapterAndItsMetrics() throws IOException {
        Path metrics = folder.resolve("metrics.jsonl");
        CommandLineRun run = finetuneSmall("--eval", heldOut, "--max-steps", 30, "--metrics", metrics,
                "--per-device-train-batch-size", 4, "--gradient-accumulation-steps", 2).assertDone();

        assertEquals(Set.of("adapter_config.json", "adapter_model.safetensors", "task_config.json"), namesIn(output));
        JsonNode adapter = inspect(output);
        assertEquals("VBLORA", adapter.get("peft_type").asText());
        assertEquals(35, adapter.get("modules").asInt());
        assertEquals(4, adapter.get("r").asInt());
        assertEquals(32, adapter.get("num_vectors").asInt());
        assertEquals(MODEL.toString(), adapter.get("base_model_name_or_path").asText());
        assertEquals(adapter.get("stored_file_bytes"), adapter.get("bytes_with_all_logits"));

        List<JsonNode> steps = new ArrayList<>();
        for (String line : Files.readAllLines(metrics)) {
            steps.add(JSON.readTree(line));
        }
        assertEquals(32, steps.size());
        JsonNode scoredBefore = steps.remove(0);
        JsonNode scoredAfter = steps.remove(30);
        assertEquals(0, scoredBefore.get("step").asInt());
        assertEquals(30, scoredAfter.get("step").asInt());
        for (int i = 0; i < steps.size(); i++) {
            assertEquals(i + 1, steps.get(i).get("step").asInt());
            List<String> fields = new ArrayList<>();
            steps.get(i).fieldNames().forEachRemaining(fields::add);
            assertEquals(List.of("step", "loss", "learning_rate_vector_bank", "learning_rate_logits", "grad_norm",
                    "tokens_per_second"), fields);
        }
        // ceil(0.06 * 30) = 2 steps of warm-up
        assertEquals(0, steps.get(0).get("learning_rate_logits").doubleValue());
        assertEquals(5e-3, steps.get(1).get("learning_rate_logits").doubleValue(), 1e-15);
        assertEquals(1e-3, steps.get(2).get("learning_rate_vector_bank").doubleValue(), 1e-15);

        String heldOutLoss = run.out().lines().filter(line -> line.startsWith("held-out loss")).findFirst()
                .orElseThrow();
        String[] words = heldOutLoss.split("[ ,]+");
        double before = Double.parseDouble(words[2]);
        double after = Double.parseDouble(words[4]);
        assertTrue(after < before && after > 0, run.out());
        assertEquals(before, scoredBefore.get("eval_loss").doubleValue(), 5.001e-7); // printed with six digits
        assertEquals(after, scoredAfter.get("eval_loss").doubleValue(), 5.001e-7);
        assertTrue(run.out().contains(String.format("%,d bytes", adapter.get("stored_file_bytes").asLong())),
                run.out());
        assertTrue(run.out().contains(String.format("LoRA of rank 4 on the same modules: %,d",
                adapter.get("bytes_of_lora_of_equal_rank").asLong())), run.out());
        assertTrue(run.err().contains("step 1/30, ") && run.err().contains("step 30/30, "), run.err());
    }

    /** Expected losses: PEFT's own code on PyTorch in float64; its float32 run stays within 1.6e-7 of them. */
    @Test
    void repeatsPeftsTrainingRun() throws IOException {
        Path golden = Golden.own("traj/tinyrand_b16");
        List<String> rows = new ArrayList<>();
        try (SafetensorsFile batches = SafetensorsFile.open(golden.resolve("batches.safetensors"));
                Tensor inputIds = batches.read("input_ids")) {
            int length = (int) inputIds.dimension(2);
            int[] ids = inputIds.toInts();
            for (int row = 0; row < ids.length; row += length) {
                rows.add("{\"input_ids\": " + Arrays.toString(Arrays.copyOfRange(ids, row, row + length)) + "}");
            }
        }
        Files.write(train, rows);
        Path metrics = folder.resolve("metrics.jsonl");
        finetune("--init-adapter", golden.resolve("adapter_init"), "--no-shuffle", "--per-device-train-batch-size", 4,
                "--num-train-epochs", 1, "--max-grad-norm", 0, "--metrics", metrics).assertDone();
        JsonNode expected = JSON.readTree(golden.resolve("trajectory.json").toFile()).at("/runs/f64/steps");
        List<String> found = Files.readAllLines(metrics);
        assertEquals(60, found.size());
        for (int i = 0; i < 60; i++) {
            double loss = expected.get(i).get("loss").doubleValue();
            assertEquals(loss, JSON.readTree(found.get(i)).get("loss").doubleValue(), 1e-6 * loss, "step " + (i + 1));
        }
    }

    @Test
    void givesTheSameAdapterWithAnyNumberOfThreadsAndAnotherWithAnotherSeed() throws IOException {
        List<byte[]> adapters = new ArrayList<>();
        for (Object[] options : new Object[][] {{"--threads", 1}, {"--threads", 2}, {"--seed", 43}}) {
            finetuneSmall(Stream.concat(Stream.of("--max-steps", 3, "--vblora-dropout", 0.1), Arrays.stream(options))
                    .toArray())
                    .assertDone();
            adapters.add(Files.readAllBytes(output.resolve("adapter_model.safetensors")));
        }
        assertArrayEquals(adapters.get(0), adapters.get(1));
        assertFalse(Arrays.equals(adapters.get(0), adapters.get(2)));
    }

    @Test
    void storesWhatInspectForetells() throws IOException {
        finetuneSmall("--max-steps", 2, "--r", 2).assertDone();
        JsonNode full = inspect(output);
        finetuneSmall("--max-steps", 2, "--r", 2, "--save-only-topk-weights").assertDone();
        JsonNode topk = inspect(output);
        assertTrue(topk.get("save_only_topk_weights").asBoolean());
        assertEquals(full.get("bytes_with_only_topk_weights"), topk.get("stored_file_bytes"));
        finetune("--method", "lora", "--max-steps", 2, "--r", 2).assertDone();
        JsonNode lora = inspect(output);
        assertEquals("LORA", lora.get("peft_type").asText());
        assertEquals(full.get("bytes_of_lora_of_equal_rank"), lora.get("stored_file_bytes"));
        assertTrue(full.get("bytes_of_lora_of_equal_rank").asLong() > 0);
    }

    @Test
    void adaptsTheModulesAskedFor() throws IOException {
        finetuneSmall("--max-steps", 1, "--target-modules", "q_proj,v_proj").assertDone();
        assertEquals(10, inspect(output).get("modules").asInt());
        finetuneSmall("--max-steps", 1, "--target-modules", ".*\\.[02]\\.mlp\\.(up|down)_proj").assertDone();
        assertEquals(4, inspect(output).get("modules").asInt());
    }

    /** PEFT's rule: "norm" ends the names of all norms, two in each of five layers and the last. */
    @Test
    void trainsModulesOfTheModelWhole() throws IOException {
        CommandLineRun run = finetuneSmall("--max-steps", 2, "--warmup-steps", 0, "--target-modules", "q_proj",
                "--modules-to-save", "embed_tokens,norm,lm_head", "--learning-rate", 0.01, "--eval", heldOut)
                .assertDone();
        assertFalse(run.err().contains("no effect"), run.err());
        JsonNode found = inspect(output);
        assertEquals(13, found.get("modules_to_save").asText().split(", ").length);
        assertEquals("none", found.get("bias").asText());
        assertEquals(0, found.get("biases").asInt());
        assertEquals(32 * 16 + 5 * 4 * (4 + 4) * 32 + 2 * 512 * 64 + 11 * 64, found.get("parameters").asInt());
        CommandLineRun evaluated = CommandLineRun.of("evaluate", "--model", MODEL, "--adapter", output, "--data",
                heldOut, "--json").assertDone();
        double after = JSON.readTree(evaluated.out()).get("eval_loss").asDouble();
        assertTrue(run.out().contains(String.format(Locale.ROOT, "%.6f after", after)), run.out());

        Path second = folder.resolve("second");
        CommandLineRun.of("finetune", "--init-adapter", output, "--model", MODEL, "--train", train, "--output", second,
                "--max-steps", 1, "--modules-to-save", "lm_head")
                .assertError(2, "--modules-to-save: found [lm_head]; expected [embed_tokens, norm, lm_head]");
        CommandLineRun.of("finetune", "--init-adapter", output, "--model", MODEL, "--train", train, "--output", second,
                "--max-steps", 1, "--bias", "all").assertError(2, "--bias: found all; expected none");
        CommandLineRun.of("finetune", "--init-adapter", output, "--model", MODEL, "--train", train, "--output", second,
                "--max-steps", 1).assertDone();
        assertEquals(13, inspect(second).get("modules_to_save").asText().split(", ").length);

        Path deltas = folder.resolve("delta.safetensors");
        run = CommandLineRun.of("delta", "--adapter", output, "--output", deltas).assertDone();
        assertEquals("5 modules written to " + deltas + "\n", run.out());
        assertTrue(run.err().contains("13 parameters that the adapter holds whole, as lm_head.weight, are not in the "
                + "file"), run.err());
        finetuneSmall("--modules-to-save", "q_prj").assertError(1, "--modules-to-save: found [q_prj], which names no "
                + "module of the model");
        finetuneSmall("--modules-to-save", "roj", "--target-modules", "q_proj").assertError(1,
                "--modules-to-save: found [roj], of which one ends the path of model.layers.0.self_attn.q_proj");
        finetuneSmall("--bias", "some").assertError(2, "--bias: found \"some\"; expected one of none, all, lora_only");
    }

    /** tinyrand's dimensions are 64, 32 and 176: 16 divides all, 64 those of the attention's square matrices. */
    @Test
    void findsAVectorLengthThatFits() throws IOException {
        CommandLineRun run = finetune("--num-vectors", 32, "--max-steps", 1).assertDone();
        assertTrue(run.err().contains("vblora: vector length: 16, the largest up to 256 that divides all dimensions of "
                + "the adapted modules."), run.err());
        assertEquals(16, inspect(output).get("vector_length").asInt());
        Path second = folder.resolve("second");
        CommandLineRun.of("finetune", "--init-adapter", output, "--model", MODEL, "--train", train, "--output", second,
                "--max-steps", 1, "--vector-length", "auto").assertDone();
        assertEquals(16, inspect(second).get("vector_length").asInt());
        finetune("--vector-length", "auto", "--target-modules", "q_proj,o_proj", "--max-steps", 1).assertDone();
        assertEquals(64, inspect(output).get("vector_length").asInt());
        finetune("--vector-length", "some").assertError(2, "found some; expected auto or a number");
        finetune("--vector-length", 0).assertError(2, "--vector-length: found 0");
    }

    @Test
    void trainsOnText() throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        for (String name : namesIn(MODEL)) {
            Files.copy(MODEL.resolve(name), model.resolve(name));
        }
        Path text = Files.writeString(folder.resolve("train.txt"),
                "the bank of vectors\r\n\r\nvectors of the bank of the bank");
        Object[] arguments = {"finetune", "--model", model, "--train", text, "--output", output, "--vector-length", 16,
            "--max-steps", 1, "--max-seq-length", 6};
        CommandLineRun.of(arguments).assertError(1, text + ", line 1: found text, but there is no tokenizer");
        assertFalse(Files.exists(output));
        TokenizerFixture.write(model);
        CommandLineRun run = CommandLineRun.of(arguments).assertDone();
        // <s>, words and </s>, the eos_token_id of config.json, cut at 6
        assertTrue(run.err().contains("training data: 2 examples, 12 tokens, longest 6, 1 cut"), run.err());
    }

    @Test
    void goesOnFromAnAdapter() throws IOException {
        Path first = folder.resolve("first");
        Path metrics = folder.resolve("metrics.jsonl");
        CommandLineRun.of("finetune", "--model", MODEL, "--train", train, "--output", first, "--method", "lora", "--r",
                2,
                "--max-steps", 20, "--learning-rate", 0.01).assertDone();
        finetune("--init-adapter", first, "--max-steps", 1, "--metrics", metrics, "--eval", train).assertDone();
        double loss = JSON.readTree(Files.readAllLines(metrics).get(1)).get("loss").doubleValue();
        finetune("--method", "lora", "--max-steps", 1, "--metrics", metrics).assertDone();
        double fresh = JSON.readTree(Files.readAllLines(metrics).get(0)).get("loss").doubleValue();
        assertTrue(loss < fresh - 0.5, loss + " is not much less than " + fresh);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "--r 0                                | --r: found 0; expected",
        "--r four                             | --r: found four; expected a whole number.",
        "--r 3000000000                       | --r: found 3000000000; expected a whole number up to 2147483647",
        "--max-steps 1e3                      | --max-steps: found 1e3; expected a whole number.",
        "--max-steps 10000000000000000000     | --max-steps: found 10000000000000000000; expected a whole number up "
                + "to 9223372036854775807",
        "--no-shuffle=maybe                   | --no-shuffle: found maybe; expected no value, or true or false",
        "--topk 33                            | --topk: found 33; expected at most num_vectors",
        "--vblora-dropout -0.1                | --vblora-dropout: found -0.1",
        "--vblora-dropout 1                   | --vblora-dropout: found 1",
        "--init-logits-std NaN                | --init-logits-std: found",
        "--vblora-dropout 0.999999999         | --vblora-dropout: found 0.999999999; expected a probability from 0, "
                + "below 1 in float32",
        "--init-logits-std 1e38               | --init-logits-std: found 1e38; expected a number from 0.0",
        "--init-vector-bank-bound 1e7         | --init-vector-bank-bound: found 1e7",
        "--optim sgd                          | --optim: found sgd; expected one of adamw",
        "--weight-decay -1                    | --weight-decay: found -1; expected a finite number that is not "
                + "negative",
        "--max-grad-norm NaN                  | --max-grad-norm: found NaN",
        "--warmup-ratio 1.5                   | --warmup-ratio: found 1.5",
        "--warmup-steps -1                    | --warmup-steps: found -1; expected at least 0",
        "--max-steps 0                        | --max-steps: found 0",
        "--max-steps -1                       | --max-steps: found -1; expected at least 1",
        "--num-train-epochs 0                 | --num-train-epochs: found 0;",
        "--num-train-epochs 1e300             | --num-train-epochs: found 1e300; expected a number above 0, at most",
        "--per-device-train-batch-size 0      | --per-device-train-batch-size: found 0",
        "--gradient-accumulation-steps -3     | --gradient-accumulation-steps: found -3",
        "--gradient-accumulation-steps 65537  | --gradient-accumulation-steps: found 65537; expected 1 to 65536",
        "--max-seq-length 1                   | --max-seq-length: found 1; expected at least 2",
        "--threads -1                         | --threads: found -1",
        "--threads 1025                       | --threads: found 1025; expected 0 to 1024",
        "--target-modules *                   | --target-modules: found",
        "--lr-scheduler-type polynomial | --lr-scheduler-type: found polynomial; expected linear, cosine, constant.",
        "--task seq-cls | --task: found seq-cls; expected causal-lm, sequence-classification, sequence-regression.",
        "--task CAUSAL_LM                     | --task: found CAUSAL_LM; expected causal-lm",
        "--device gpu                         | --device: found gpu; expected auto, cpu, cuda.",
        "--dtype FLOAT32                      | --dtype: found FLOAT32; expected auto, float32, bfloat16, float16.",
        "--vector-length 16                   | option '--vector-length' (N) should be specified only once",
        "--seed 1 --seed 2                    | option '--seed' (N) should be specified only once",
        "--lora-alpha 16                      | --lora-alpha means nothing to --method vblora",
        "--method lora                        | --num-vectors means nothing to --method lora",
        "--warmup-ratio 0.1 --warmup-steps 3  | Both --warmup-ratio and --warmup-steps are given; expected one",
        "--max-steps 3 --num-train-epochs 1   | Both --num-train-epochs and --max-steps",
        "--per-device-eval-batch-size 4       | --per-device-eval-batch-size without --eval",
        "--max-step 3                         | Unknown option",
        "--method head                        | --method head means nothing to --task causal-lm",
        "--pooling mean                       | --pooling means nothing to --task causal-lm",
        "--learning-rate-head 1               | --learning-rate-head means nothing to --task causal-lm",
        "--label-column class                 | --label-column means nothing to --task causal-lm",
        "--text-pair-column other             | --text-pair-column means nothing to --task causal-lm",
        "--data-format csv                    | --data-format means nothing without a prompt to --task causal-lm",
        "--no-header                          | --header means nothing without a prompt to --task causal-lm",
        "--eval-steps 2                       | --eval-steps without --eval; expected --eval with held-out data",
    })
    void refusesWrongUse(String options, String expected) {
        finetuneSmall((Object[]) options.split(" ")).assertError(2, expected);
        assertFalse(Files.exists(output));
    }

    @Test
    void saysThatTheLearningRateHasNoEffectWithVbLora() throws IOException {
        finetuneSmall("--max-steps", 2, "--warmup-steps", 0).assertDone();
        byte[] without = Files.readAllBytes(output.resolve("adapter_model.safetensors"));
        CommandLineRun run = finetuneSmall("--max-steps", 2, "--warmup-steps", 0, "--learning-rate", 0.5).assertDone();
        assertTrue(run.err().contains("--learning-rate has no effect with --method vblora: it is that of --bias and "
                + "--modules-to-save, and of updates without a rate of their own"), run.err());
        assertArrayEquals(without, Files.readAllBytes(output.resolve("adapter_model.safetensors")));
        run = finetune("--method", "lora", "--max-steps", 1, "--learning-rate", 0.5).assertDone();
        assertFalse(run.err().contains("no effect"), run.err());
    }

    @Test
    void refusesAnEmptyPath() {
        for (String option : List.of("--eval", "--init-adapter", "--metrics")) {
            finetune(option, "").assertError(2, option + ": found an empty path");
        }
        CommandLineRun.of("inspect", "").assertError(2, "found an empty path");
        CommandLineRun.of("inspect", "a\0b").assertError(2, "PATH: found a\\u0000b; expected a path");
    }

    @Test
    void saysOfAFolderThatItIsNone() {
        for (Path wrong : List.of(train, folder.resolve("none"))) {
            String what = wrong + (wrong.equals(train) ? ", which is not a folder" : ", which does not exist");
            CommandLineRun.of("finetune", "--model", wrong, "--train", train, "--output", output)
                    .assertError(1, "error: --model: found " + what);
            finetune("--init-adapter", wrong).assertError(1, "error: --init-adapter: found " + what);
        }
    }

    @Test
    void refusesFoldersWhereAnAdapterWouldTakeAnotherFilesPlace() throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        for (String name : namesIn(MODEL)) {
            Files.copy(MODEL.resolve(name), model.resolve(name));
        }
        Path link = Files.createSymbolicLink(folder.resolve("link"), model);
        for (Path[] c : new Path[][] {{model, model}, {model, link}, {link, model},
            {model, link.resolve("../model")}}) {
            CommandLineRun.of("finetune", "--model", c[0], "--train", train, "--output", c[1])
                    .assertError(2, "--output: found " + c[1] + ", which is the folder of --model");
        }
        assertEquals(namesIn(MODEL), namesIn(model));
        Files.createDirectory(output);
        for (String name : List.of("adapter_model.safetensors", "adapter_config.json")) {
            Path data = Files.copy(train, output.resolve(name));
            finetune("--eval", data)
                    .assertError(2, "--output: found " + data + ", which is the held-out data; expected another file");
            Files.delete(data);
        }
        Path tasks = Files.writeString(output.resolve("task_config.json"), "[\"of another program\"]");
        finetune().assertError(1, "--output: found " + tasks + " without adapter_config.json, so not an adapter's");
        assertEquals(Set.of("task_config.json"), namesIn(output));
    }

    @Test
    void metricsReplaceNoFileThatTheRunNeeds() throws IOException {
        Path init = Files.createDirectory(folder.resolve("init"));
        Path initAdapter = Golden.own("traj/tinyrand_b16/adapter_init");
        for (String name : namesIn(initAdapter)) {
            Files.copy(initAdapter.resolve(name), init.resolve(name));
        }
        Path link = Files.createSymbolicLink(folder.resolve("link.jsonl"), train);
        Map<Path, String> neededFiles = Map.of(train, "the training data", heldOut, "the held-out data",
                link, "the training data", folder.resolve("init/../train.jsonl"), "the training data",
                init.resolve("adapter_config.json"), "a file of the adapter to go on from",
                MODEL.resolve("config.json"), "a file of the model",
                output.resolve("adapter_model.safetensors"), "a file of the adapter to be written");
        for (Path needed : neededFiles.keySet()) {
            byte[] before = Files.exists(needed) ? Files.readAllBytes(needed) : null;
            finetune("--eval", heldOut, "--init-adapter", init, "--metrics", needed)
                    .assertError(2, "--metrics: found " + needed + ", which is " + neededFiles.get(needed)
                            + "; expected another file.");
            assertArrayEquals(before, Files.exists(needed) ? Files.readAllBytes(needed) : null);
        }
        Path metrics = Files.writeString(folder.resolve("metrics.jsonl"), "of a run before");
        finetune("--init-adapter", init, "--max-steps", 1, "--metrics", metrics).assertDone();
        assertEquals(1, JSON.readTree(Files.readString(metrics)).get("step").asInt());
    }

    /** The last number of the model's last file, of its final norm, is made NaN. */
    @Test
    void saysThatTheModelIsBrokenWhereNothingHasBeenTrainedYet() throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        for (String name : namesIn(MODEL)) {
            Files.copy(MODEL.resolve(name), model.resolve(name));
        }
        Path shard = model.resolve("model-00002-of-00002.safetensors");
        byte[] bytes = Files.readAllBytes(shard);
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(bytes.length - Float.BYTES, Float.NaN);
        Files.write(shard, bytes);
        CommandLineRun.of("finetune", "--model", model, "--train", train, "--output", output, "--vector-length", 16)
                .assertError(1, "The loss is NaN in step 1 and the run cannot go on: nothing has been trained yet, so "
                        + "the weights of the model or the adapter hold numbers that are not finite");
    }

    @Test
    void theOtherMethodIsRefusedWhereTheAdapterDecides() {
        Path vblora = Golden.own("traj/tinyrand_b16/adapter_init");
        finetune("--init-adapter", vblora, "--method", "lora").assertError(2, "--method: found lora; expected vblora");
    }

    @Test
    void optionsMayRepeatTheConfigurationOfTheInitialAdapterButNotChangeIt() {
        Path init = Golden.own("traj/tinyrand_b16/adapter_init");
        finetune("--init-adapter", init, "--r", 8).assertError(2, "--r: found 8; expected 4");
        finetune("--init-adapter", init, "--vblora-dropout", 0.5)
                .assertError(2, "--vblora-dropout: found 0.5; expected 0.0");
        finetune("--init-adapter", init, "--target-modules", "q_proj")
                .assertError(2, "--target-modules: found 5 modules; expected the 35");
        assertFalse(Files.exists(output));
        finetune("--init-adapter", init, "--method", "vblora", "--r", 4, "--num-vectors", 64, "--vector-length", 16,
                "--topk", 2, "--target-modules", "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
                "--max-steps", 1).assertDone();
    }

    @Test
    void failsBeforeItTrainsAndWritesNothing() throws IOException {
        finetune("--vector-length", 24)
                .assertError(1, "--vector-length: found 24, which does not divide in_features 176 of");
        finetuneSmall("--target-modules", "q_prj").assertError(1, "--target-modules: found \"q_prj\"");
        finetuneSmall("--max-seq-length", 513).assertError(1,
                "--max-seq-length: found 513; expected at most 512, for which the model has positions");
        finetune("--init-adapter", folder).assertError(1, "--init-adapter: found " + folder
                + ", which has no adapter_config.json; expected an adapter's folder");
        Files.writeString(heldOut, "{\"input_ids\": [1, 512]}");
        finetuneSmall("--eval", heldOut)
                .assertError(1, heldOut + ", line 1: input_ids[1]: found 512; expected integers from 0 "
                        + "to 511");
        assertFalse(Files.exists(output));
        finetuneSmall("--model", folder.resolve("none")).assertError(2, "should be specified only once");
        Files.writeString(output, "in the way");
        finetuneSmall().assertError(1, "--output: found " + output + ", which is not a folder; expected a folder");
        assertEquals("in the way", Files.readString(output));
        Files.delete(output);
        Path nowhere = Path.of("/proc/vblora");
        finetuneSmall("--max-steps", 1, "--metrics", folder.resolve("no/metrics"))
                .assertError(1, "/no/metrics could not be written: No such file or directory.");
        CommandLineRun.of("finetune", "--model", MODEL, "--train", train, "--output", nowhere, "--vector-length", 16)
                .assertError(1, "The folder of --output, " + nowhere + ", cannot be written: no such file or folder.");
    }

    /** Before anything is read or touched: the model is none, the data is not there. */
    @Test
    void doesNotTrainOnAnAdapterWithoutLogits() throws IOException {
        finetuneSmall("--max-steps", 1, "--save-only-topk-weights").assertDone();
        byte[] stored = Files.readAllBytes(output.resolve("adapter_model.safetensors"));
        finetune("--init-adapter", output).assertError(1, "save_only_topk_weights: found true");
        assertArrayEquals(stored, Files.readAllBytes(output.resolve("adapter_model.safetensors")));
        Path metrics = Files.writeString(folder.resolve("metrics.jsonl"), "of a run before");
        Path other = folder.resolve("other/adapter");
        CommandLineRun.of("finetune", "--model", folder, "--train", folder.resolve("none"), "--output", other,
                "--init-adapter", output, "--metrics", metrics)
                .assertError(1, "save_only_topk_weights: found true: the adapter holds selected weights alone; "
                        + "expected an adapter stored with all its logits");
        assertEquals("of a run before", Files.readString(metrics));
        assertFalse(Files.exists(other.getParent()));
    }

    /** What finetune says of held-out data, evaluate finds; perplexity is the exponential of the mean loss. */
    @Test
    void evaluateFindsWhatFinetuneSaid() throws IOException {
        CommandLineRun run = finetuneSmall("--eval", heldOut, "--max-steps", 8).assertDone();
        String line = run.out().lines().filter(l -> l.startsWith("held-out loss")).findFirst().orElseThrow();
        double after = Double.parseDouble(line.split("[ ,]+")[4]);
        Object[] evaluate = {"evaluate", "--model", MODEL, "--adapter", output, "--data", heldOut};
        CommandLineRun found = CommandLineRun.of(evaluate).assertDone();
        assertTrue(found.out().contains(String.format("%.6f", after)), found.out());
        JsonNode scores = JSON.readTree(CommandLineRun.of(Stream.concat(Arrays.stream(evaluate), Stream.of("--json"))
                .toArray()).assertDone().out());
        assertEquals(after, scores.get("eval_loss").doubleValue(), 5.1e-7);
        assertEquals(Math.exp(scores.get("eval_loss").doubleValue()), scores.get("perplexity").doubleValue(), 1e-9);
        CommandLineRun.of(Stream.concat(Arrays.stream(evaluate), Stream.of("--predictions", folder.resolve("p")))
                .toArray()).assertError(2, "--predictions means nothing to --task causal-lm");
        CommandLineRun.of(Stream.concat(Arrays.stream(evaluate), Stream.of("--label-column", "class")).toArray())
                .assertError(2, "--label-column means nothing to --task causal-lm");
        assertFalse(Files.exists(folder.resolve("p")));
    }

    @Test
    void trainsOnResponsesToPrompts() throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        for (String name : namesIn(MODEL)) {
            Files.copy(MODEL.resolve(name), model.resolve(name));
        }
        TokenizerFixture.write(model);
        Path rows = Files.writeString(folder.resolve("rows.csv"),
                "question,answer\nthe bank of,vectors the bank\nthe,bank of vectors\n");
        Path template = Files.writeString(folder.resolve("template.txt"), "the vectors of {question} of \n");
        Object[] common = {"finetune", "--model", model, "--train", rows, "--output", output, "--vector-length", 16,
            "--max-steps", 1, "--response-column", "answer"};
        CommandLineRun run = CommandLineRun.of(join(common, "--prompt-column", "question")).assertDone();
        // Nothing comes between, so two words become an unknown one: <s> the bank <unk> the bank </s>
        assertTrue(run.err().contains("training data: 2 examples, 12 tokens, longest 7"), run.err());
        run = CommandLineRun.of(join(common, "--prompt-template", template, "--no-quoted")).assertDone();
        // <s>, words and </s>: 1 + 7 + 3 + 1 and 1 + 5 + 3 + 1
        assertTrue(run.err().contains("training data: 2 examples, 22 tokens, longest 12"), run.err());
        CommandLineRun.of(join(common, "--prompt-template", "alpaca"))
                .assertError(1, rows + ", line 1: ");
        CommandLineRun.of(join(common, "--prompt-template", folder.resolve("none")))
                .assertError(1, folder.resolve("none") + ": found no such file");
        CommandLineRun.of(join(common, "--prompt-template", "alpaca", "--prompt-column", "question"))
                .assertError(2, "Both --prompt-template and --prompt-column");
        CommandLineRun.of(common).assertError(2, "--response-column without --prompt-template or --prompt-column");
    }

    /** What was trained on need not be said again; options may say otherwise, which is told. */
    @Test
    void anAdapterRemembersItsPrompt() throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        for (String name : namesIn(MODEL)) {
            Files.copy(MODEL.resolve(name), model.resolve(name));
        }
        TokenizerFixture.write(model);
        Path rows = Files.writeString(folder.resolve("rows.csv"),
                "question,answer,text\nthe bank of,vectors the bank,a\nthe,bank of vectors of the bank,b\n");
        Path template = Files.writeString(folder.resolve("template.txt"), "the vectors of {question} of ");
        CommandLineRun trained = CommandLineRun.of("finetune", "--model", model, "--train", rows, "--eval", rows,
                "--output", output, "--max-steps", 2, "--num-vectors", 16, "--prompt-template", template,
                "--response-column", "answer", "--max-seq-length", 14).assertDone();
        assertTrue(trained.out().contains("evaluate --model " + model + " --adapter " + output + " --data FILE\n"),
                trained.out());
        Files.delete(template);
        String after = trained.out().lines().filter(l -> l.startsWith("held-out loss")).findFirst().orElseThrow()
                .split("[ ,]+")[4];

        Object[] evaluate = {"evaluate", "--model", model, "--adapter", output, "--data", rows};
        CommandLineRun run = CommandLineRun.of(evaluate).assertDone();
        assertTrue(run.out().contains(after), run.out() + after);
        assertTrue(run.err().contains("vblora: prompts made of question and responses in answer, at most "
                + "14 tokens each, "
                + "as the adapter has it."), run.err());
        Files.writeString(template, "the vectors of {question} of ");
        assertTrue(CommandLineRun.of(join(evaluate, "--prompt-template", template, "--response-column", "answer",
                "--max-seq-length", 14)).assertDone().err().contains("as the adapter has it."));
        run = CommandLineRun.of(join(evaluate, "--prompt-column", "question", "--max-seq-length", 10)).assertDone();
        assertTrue(run.err().contains("vblora: prompts made of question and responses in answer, at most "
                + "10 tokens each; "
                + "the adapter has another template: prompts made of question and responses in answer, at most 14 "
                + "tokens each."), run.err());
        CommandLineRun.of(join(evaluate, "--prompt-template", "none", "--response-column", "answer"))
                .assertError(2, "--response-column without --prompt-template or --prompt-column");
        Path text = Files.writeString(folder.resolve("text.txt"), "the bank of vectors\n");
        run = CommandLineRun.of("evaluate", "--model", model, "--adapter", output, "--data", text,
                "--prompt-template", "none").assertDone();
        assertTrue(run.err().contains("vblora: documents, at most 14 tokens each; the adapter has prompts made of "
                + "question"), run.err());

        Path second = folder.resolve("second");
        run = CommandLineRun.of("finetune", "--init-adapter", output, "--model", model, "--train", rows, "--eval", rows,
                "--output", second, "--max-steps", 1).assertDone();
        assertTrue(run.out().matches("(?s).*held-out loss +" + after + " before.*"), run.out());
        assertEquals(Files.readString(output.resolve("task_config.json")),
                Files.readString(second.resolve("task_config.json")));
        // As an adapter from elsewhere, which says nothing
        Files.delete(output.resolve("task_config.json"));
        run = CommandLineRun.of(evaluate).assertDone(); // lines of text
        assertTrue(run.err().contains("3 examples") && !run.err().contains("the adapter has"), run.err());
        run = CommandLineRun.of(join(evaluate, "--prompt-template", template, "--response-column", "answer",
                "--max-seq-length", 14)).assertDone();
        assertTrue(run.out().contains(after), run.out());
    }

    /** LoRA's B begins with zeros, so that before training the model is the bare one. */
    @Test
    void evaluateScoresALanguageModelAlone() throws IOException {
        CommandLineRun run = finetune("--method", "lora", "--eval", heldOut, "--max-steps", 1).assertDone();
        String before = run.out().lines().filter(l -> l.startsWith("held-out loss")).findFirst().orElseThrow()
                .split("[ ,]+")[2];
        CommandLineRun alone = CommandLineRun.of("evaluate", "--model", MODEL, "--data", heldOut).assertDone();
        assertTrue(alone.out().matches("(?s)examples +5\\Reval_loss +" + before + "\\Rperplexity +\\d+\\.\\d{6}\\R"),
                alone.out());
        CommandLineRun.of("evaluate", "--model", MODEL, "--data", heldOut, "--no-labels")
                .assertError(2, "--no-labels means nothing to --task causal-lm");
    }

    private static Object[] join(Object[] first, Object... more) {
        return Stream.concat(Arrays.stream(first), Arrays.stream(more)).toArray();
    }

    @Test
    void takesAwayTheFolderThatItMadeWhereTheRunFails() throws IOException {
        Path deep = folder.resolve("a/b/c");
        CommandLineRun.of("finetune", "--model", MODEL, "--train", train, "--output", deep, "--vector-length", 16,
                "--learning-rate-vector-bank", 1e30, "--max-grad-norm", 0, "--max-steps", 10, "--warmup-steps", 0)
                .assertError(1, "lower the learning rates");
        assertFalse(Files.exists(folder.resolve("a")));
        Files.createDirectories(folder.resolve("a/b"));
        CommandLineRun.of("finetune", "--model", MODEL, "--train", train, "--output", deep, "--vector-length", 16,
                "--learning-rate-vector-bank", 1e30, "--max-grad-norm", 0, "--max-steps", 10, "--warmup-steps", 0)
                .assertError(1, "lower the learning rates");
        assertEquals(Set.of(), namesIn(folder.resolve("a/b")));
    }

    @Test
    void saysWhyItDoesNotUseCuda() {
        CommandLineRun auto = CommandLineRun.of("finetune", "--model", MODEL, "--train", train, "--output", output,
                "--vector-length", 16, "--max-steps", 1).assertDone();
        assertTrue(auto.err().startsWith("vblora: running on the CPU: "), auto.err());
        // It may be there without a GPU: what a build lacked, doctor says.
        assertFalse(auto.err().contains("nvcc"), auto.err());
        String reason = Device.probeCuda().count() > 0 ? "models run on the CPU alone in this version, though " : "th";
        CommandLineRun.of("finetune", "--model", MODEL, "--train", train, "--output", folder.resolve("cuda"),
                "--device", "cuda")
                .assertError(1, "--device: found cuda, but " + reason);
        assertFalse(Files.exists(folder.resolve("cuda")));
    }

    @Test
    void reportsALossThatExplodes() throws IOException {
        finetuneSmall("--learning-rate-vector-bank", 1e30, "--max-grad-norm", 0, "--max-steps", 10, "--warmup-steps", 0)
                .assertError(1, "lower the learning rates, or set max_grad_norm.");
        assertFalse(Files.exists(output));
    }

    /** One update at a rate that float32 cannot hold, whose effect no further step would show. */
    @ParameterizedTest
    @ValueSource(strings = {"--method lora --learning-rate 1e30", "--vector-length 16 --learning-rate-vector-bank 1e30",
        "--vector-length 16 --num-vectors 32 --learning-rate-vector-bank 1e30 --save-only-topk-weights"})
    void aLastStepThatDivergesWritesNoAdapter(String options) {
        for (boolean scored : new boolean[] {false, true}) {
            List<Object> arguments = new ArrayList<>(List.of(options.split(" ")));
            arguments.addAll(List.of("--max-steps", 1, "--warmup-steps", 0));
            if (scored) {
                arguments.addAll(List.of("--eval", heldOut, "--load-best-model-at-end"));
            }
            finetune(arguments.toArray()).assertError(1, "after step 1 and the run cannot go on: lower the learning "
                    + "rates.");
            assertFalse(Files.exists(output));
        }
    }

    /** Of an adapter whose numbers are finite, but too large for what is computed with them. */
    @Test
    void aLossThatIsNoNumberIsPrintedAndAnError() throws IOException {
        finetune("--method", "lora", "--max-steps", 1).assertDone();
        Path weights = output.resolve("adapter_model.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(weights)) {
            SafetensorsWriter huge = new SafetensorsWriter();
            for (String name : file.names()) {
                long[] shape = file.entry(name).dimensions();
                float[] values = new float[(int) (shape[0] * shape[1])];
                Arrays.fill(values, 1e30f);
                huge.add(name, DType.FLOAT32, shape, () -> Tensor.of(values, shape));
            }
            huge.write(weights);
        }
        List<Object> arguments = List.of("evaluate", "--model", MODEL, "--adapter", output, "--data", heldOut,
                "--device", "cpu");
        String expected = "--adapter: found " + output + ", with which " + MODEL + " has a loss of NaN; expected "
                + "finite "
                + "numbers: the adapter's or the model's are not, or are far too large.";
        CommandLineRun lines = CommandLineRun.of(arguments.toArray()).assertError(1, expected);
        assertTrue(lines.out().matches("(?s)examples +5\neval_loss +NaN\nperplexity +NaN\n"), lines.out());
        CommandLineRun json = CommandLineRun.of(Stream.concat(arguments.stream(), Stream.of("--json")).toArray())
                .assertError(1, expected);
        assertEquals("NaN", JSON.readTree(json.out()).get("eval_loss").textValue());
    }

    /** As code that calls the command line in its own process ends it. */
    @Test
    void anInterruptedThreadWritesNoAdapter() {
        Thread.currentThread().interrupt();
        try {
            finetuneSmall("--max-steps", 3).assertError(1, "Interrupted after step 0: no adapter is written.");
            assertTrue(Thread.currentThread().isInterrupted());
        } finally {
            Thread.interrupted();
        }
        assertFalse(Files.exists(output));
    }

    /** A process of its own, ended as Ctrl-C ends it: by a signal, in the midst of training. */
    @Test
    void leavesNoFileWhenItIsInterrupted() throws Exception {
        Process process = CommandLineRun.start(List.of(), "finetune", "--model", MODEL, "--train", train, "--output",
                output, "--vector-length", 16, "--max-steps", 1_000_000, "--device", "cpu");
        try (BufferedReader lines = process.inputReader()) {
            String line = lines.readLine();
            while (line != null && !line.startsWith("step 1/")) {
                line = lines.readLine();
            }
            process.destroy();
            assertTrue(process.waitFor(60, TimeUnit.SECONDS));
            assertTrue(line != null, "the process did not come to its first step");
            assertEquals(128 + 15, process.exitValue());
            assertFalse(Files.exists(output));
        } finally {
            process.destroyForcibly();
        }
    }
}
