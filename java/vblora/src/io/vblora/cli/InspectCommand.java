package io.vblora.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.IoReason;
import io.vblora.JsonFields;
import io.vblora.PrintableText;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterFolder;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.kernels.Stream;
import io.vblora.parameters.Trainable;
import io.vblora.weights.WeightSource;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Shows what an adapter, a safetensors file or a model folder holds. */
@Command(name = "inspect", mixinStandardHelpOptions = true, versionProvider = Main.Version.class,
        description = {"Shows the tensors of an adapter folder, a safetensors file or a model folder.",
            "Prints shapes, numbers of parameters and exact bytes; for an adapter whose method has several forms also "
                    + "the bytes of each, and for one that is not LoRA those of LoRA with the same rank on the same "
                    + "modules. An adapter is loaded and checked as a whole."})
final class InspectCommand implements Callable<Integer> {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String EXPECTED = "an adapter's folder (adapter_config.json), a model's folder (config.json) "
            + "or a safetensors file";

    @Parameters(paramLabel = "PATH", description = "An adapter folder, a safetensors file or a model folder.")
    private Path path;

    @Option(names = "--json", description = "Print JSON. Sizes are in bytes.")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        ObjectNode report = AdapterFolder.files(path).read(this::report);
        PrintWriter out = spec.commandLine().getOut();
        if (json) {
            out.println(toJson(report));
        } else {
            print(report, out);
        }
        out.flush();
        return ExitCode.OK;
    }

    private ObjectNode report() {
        ObjectNode report = JSON.createObjectNode().put("path", path.toString());
        Path weights = path;
        if (Files.exists(path.resolve(AdapterConfig.FILE_NAME))) {
            describeAdapter(report);
            weights = path.resolve(Adapter.WEIGHTS_FILE);
        } else if (Files.exists(path.resolve("config.json"))) {
            report.put("kind", "model");
            report.put("model_type", JsonFields.read(path.resolve("config.json")).string("model_type"));
        } else if (Files.isDirectory(path)) {
            throw new InputException(path, "", "a folder with neither " + AdapterConfig.FILE_NAME + " nor config.json",
                    EXPECTED);
        } else if (!Files.exists(path)) {
            throw new InputException(path, "", "no such file or folder", EXPECTED);
        } else if (!path.toString().endsWith(".safetensors") && !isSafetensors(path)) {
            throw new InputException(path, "", "a file in another format", EXPECTED);
        } else {
            report.put("kind", "safetensors");
        }
        try (WeightSource source = WeightSource.open(weights)) {
            describeTensors(source, report);
        }
        return report;
    }

    /** Whether a file begins as a safetensors file does: a JSON object after eight bytes. */
    private static boolean isSafetensors(Path file) {
        try (InputStream in = Files.newInputStream(file)) {
            byte[] head = in.readNBytes(Long.BYTES + 1);
            return head.length > Long.BYTES && head[Long.BYTES] == '{';
        } catch (IOException e) {
            throw new UncheckedIOException(file + " could not be read: " + IoReason.of(e), e);
        }
    }

    private void describeAdapter(ObjectNode report) {
        try (Stream stream = Stream.cpu(0); Adapter adapter = Adapter.load(path, stream)) {
            new Invocation(spec).sayNotes(adapter);
            adapter.taskConfig().ifPresent(json -> JsonFields.parse(path.resolve(AdapterFolder.TASK_FILE).toString(),
                    json));
            AdapterConfig config = adapter.config();
            report.put("kind", "adapter");
            report.put("peft_type", config.peftType());
            report.put("base_model_name_or_path", config.baseModelNameOrPath());
            report.put("r", config.r());
            config.facts().forEach((key, value) -> report.set(key, JSON.valueToTree(value)));
            report.put("modules", adapter.modules().size());
            report.put("modules_to_save", String.join(", ", adapter.savedModules()));
            report.put("bias", config.bias());
            report.put("biases", adapter.biases().size());
            report.put("parameters", adapter.trainables().stream().mapToLong(Trainable::parameterCount).sum());
            List<StoredForm> forms = config.method().forms();
            if (forms.size() > 1) {
                forms.forEach(form -> report.put("bytes_" + form.key(), adapter.storedBytes(form)));
            }
            if (config.method().isComparedWithLora()) {
                report.put("bytes_of_lora_of_equal_rank", adapter.loraStoredBytes());
            }
        }
    }

    /** Adds the tensors and their sums. */
    private static void describeTensors(WeightSource weights, ObjectNode report) {
        long numbers = 0;
        long tensorBytes = 0;
        Set<Path> files = new LinkedHashSet<>();
        ArrayNode tensors = report.arrayNode();
        for (String name : weights.names()) {
            WeightSource.Entry entry = weights.entry(name);
            numbers += entry.elements();
            tensorBytes += entry.bytes();
            files.add(weights.file(name));
            ObjectNode tensor = tensors.addObject().put("name", name).put("dtype", entry.dtype().code());
            entry.shape().forEach(tensor.putArray("shape")::add);
            tensor.put("bytes", entry.bytes());
        }
        long fileBytes = 0;
        for (Path file : files) {
            fileBytes += size(file);
        }
        report.put("stored_numbers", numbers).put("stored_tensor_bytes", tensorBytes)
                .put("stored_file_bytes", fileBytes);
        report.set("tensors", tensors);
    }

    private static long size(Path file) {
        try {
            return Files.size(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " could not be read: " + IoReason.of(e), e);
        }
    }

    private static String toJson(ObjectNode report) {
        try {
            return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(report);
        } catch (JsonProcessingException e) {
            throw new AssertionError("a tree is always JSON", e);
        }
    }

    /** A line for each tensor, of which there may be hundreds, then one for each field: these stay on the screen. */
    private static void print(ObjectNode report, PrintWriter out) {
        out.println("tensors");
        report.get("tensors").forEach(tensor -> out.printf(Locale.ROOT, "  %s %s %s, %,d bytes%n",
                PrintableText.of(tensor.get("name").asText()), tensor.get("dtype").asText(),
                tensor.get("shape"), tensor.get("bytes").asLong()));
        report.properties().forEach(field -> {
            JsonNode value = field.getValue();
            if (!value.isArray() && !value.isNull()) {
                out.printf(Locale.ROOT, "%-30s%s%n", field.getKey().replace('_', ' '), value.isIntegralNumber()
                        ? String.format(Locale.ROOT, "%,d", value.longValue())
                        : value.isTextual() && value.textValue().isEmpty() ? "none"
                        : PrintableText.of(value.isObject() ? value.toString() : value.asText()));
            }
        });
    }
}
