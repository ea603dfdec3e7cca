package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.vblora.kernels.BenchProgram;
import io.vblora.kernels.Device;
import io.vblora.kernels.Prerequisite;
import io.vblora.kernels.TestDevice;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVRecord;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** {@code doctor --kernels}, {@code bench kernels}, on small shapes; the native bench_test shows what checks notice. */
@TestDevice.OnAny
class KernelCommandsTest {
    private static final boolean CUDA = !TestDevice.DEVICE.isCpu();

    @TempDir
    Path folder;

    @Test
    void doctorChecksEveryKernel() throws Exception {
        CommandLineRun table = CommandLineRun.of("doctor", "--kernels", "--device", "cpu", "--quick", "--seed", 11)
                .assertDone();
        assertTrue(table.out().contains("random input of seed 11\n"), table.out());
        CommandLineRun run =
                CommandLineRun.of("doctor", "--kernels", "--device", TestDevice.DEVICE, "--quick", "--json");
        JsonNode json = new ObjectMapper().readTree(run.assertDone().out());
        assertTrue(json.get("ok").asBoolean(), json::toString);
        assertEquals(CUDA ? "0" : "cpu", json.get("device_id").asText());
        assertTrue(json.get("copy_gb_per_s").asDouble() > 0 && json.get("seed").isIntegralNumber(), json::toString);
        List<String> rows = table.out().lines().filter(line -> line.endsWith(" ok")).toList();
        Set<String> shapes = new HashSet<>(json.get("kernels").findValuesAsText("shape"));
        assertTrue(shapes.containsAll(List.of("aligned", "unaligned", "large-topk", "few-rows")), shapes::toString);
        // On the CPU, the two low-rank products, each of one layer and of a pair, and the two passes of the gated
        // activation have one dtype instead of three, in each of the shapes.
        assertEquals(json.get("kernels").size(), rows.size() + (CUDA ? (2 * 2 + 2) * 2 * shapes.size() : 0),
                table::out);
        assertTrue(table.out().endsWith("\nall " + rows.size() + " checks passed\n"), table::out);
        for (JsonNode kernel : json.get("kernels")) {
            assertTrue(rows.stream().anyMatch(row -> row.startsWith(kernel.get("shape").asText())
                    && row.contains(" " + kernel.get("op").asText() + " ")), kernel::toString);
            assertEquals("ok", kernel.get("status").asText());
            assertTrue(kernel.get("error").asDouble() <= kernel.get("bound").asDouble(), kernel::toString);
            assertTrue(kernel.get("median_us").asDouble() >= 0 && kernel.get("bytes").asLong() > 0, kernel::toString);
        }
    }

    @Test
    void benchWritesTableCsvAndPicture() throws Exception {
        Path csv = folder.resolve("times.csv");
        Path svg = folder.resolve("times.svg");
        CommandLineRun run = CommandLineRun.of("bench", "kernels", "--device", TestDevice.DEVICE, "--quick",
                "--repetitions", 1, "--csv", csv, "--svg", svg).assertDone();
        assertEquals(CUDA, run.out().matches("(?s).*\\nLaunching a kernel from Java takes [0-9.]+ us [^\\n]*\\n"),
                run.out());
        try (CSVParser rows = CSVParser.parse(csv, StandardCharsets.UTF_8,
                CSVFormat.DEFAULT.builder().setHeader().setSkipHeaderRecord(true).get())) {
            List<String> ops = new ArrayList<>();
            for (CSVRecord row : rows) {
                assertTrue(row.isConsistent(), row::toString);
                assertEquals("1", row.get("repetitions"));
                assertTrue(Double.parseDouble(row.get("high_us")) >= Double.parseDouble(row.get("low_us")),
                        row::toString);
                ops.add(row.get("op"));
            }
            assertEquals(CUDA, ops.get(ops.size() - 1).equals("launch_java"));
            assertEquals(CUDA, ops.contains("launch"));
            assertTrue(ops.containsAll(List.of("select", "compose", "backward", "adamw_select")), ops::toString);
        }
        Prerequisite.check(ModuleLayer.boot().findModule("java.xml").isPresent(), "a JDK, for its module java.xml");
        Document picture = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(svg.toFile());
        assertEquals("svg", picture.getDocumentElement().getTagName());
        Element root = picture.getDocumentElement();
        double width = Double.parseDouble(root.getAttribute("width"));
        double height = Double.parseDouble(root.getAttribute("height"));
        NodeList texts = picture.getElementsByTagName("text");
        assertTrue(texts.getLength() > 100, svg::toString);
        List<Rectangle> boxes = new ArrayList<>();
        for (int i = 0; i < texts.getLength(); i++) {
            Rectangle box = Rectangle.around((Element) texts.item(i));
            assertTrue(box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height, box::toString);
            boxes.forEach(other -> assertFalse(box.meets(other), () -> box + " lies upon " + other));
            boxes.add(box);
        }
    }

    /** About where a text of the picture stands: characters are 0.58 of the font's size wide, on the average. */
    private record Rectangle(String text, double left, double right, double top, double bottom) {
        static Rectangle around(Element text) {
            String style = text.getAttribute("class");
            double size = style.contains("title") ? 20 : style.contains("panel") ? 14.5
                    : style.contains("tick") || style.contains("over") ? 11 : 12.5;
            double width = 0.58 * size * text.getTextContent().length();
            double before = switch (text.getAttribute("text-anchor")) {
                case "start" -> 0;
                case "middle" -> width / 2;
                case "end" -> width;
                default -> throw new AssertionError(text.getAttribute("text-anchor"));
            };
            double left = Double.parseDouble(text.getAttribute("x")) - before;
            double baseline = Double.parseDouble(text.getAttribute("y"));
            return new Rectangle(text.getTextContent(), left, left + width, baseline - 0.8 * size,
                    baseline + 0.2 * size);
        }

        boolean meets(Rectangle other) {
            return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
        }
    }

    @Test
    void saysWhatItTakes() {
        CommandLineRun.of("doctor", "--json").assertError(2, "--json means nothing without --kernels");
        CommandLineRun.of("doctor", "--kernels", "--device", "gpu")
                .assertError(2, "--device: found gpu; expected cuda, cuda:N or cpu");
        CommandLineRun.of("doctor", "--kernels", "--seed", -1).assertError(2, "--seed: found -1");
        CommandLineRun.of("bench").assertError(2, "No benchmark given; expected kernels");
        CommandLineRun.of("bench", "kernel").assertError(2, "Benchmark: found kernel; expected kernels");
        CommandLineRun.of("bench", "kernels", "--repetitions", 0).assertError(2, "--repetitions: found 0");
        CommandLineRun.of("bench", "kernels", "--device", "cpu", "--quick", "--op", "dance")
                .assertError(2, "--op: found 'dance'; expected one of adamw, adamw_active_select, ");
        CommandLineRun.of("bench", "kernels", "--device", "cpu", "--shape", "gpt-2")
                .assertError(2, "--shape: found 'gpt-2'; expected one of llama-2-13b, llama-2-7b, ");
        CommandLineRun.of("bench", "kernels", "--device", "cpu", "--quick", "--op", "clip", "--csv",
                folder.resolve("nowhere/times.csv"))
                .assertError(2, "nowhere/times.csv'; expected a file in a folder that is there");
    }

    @Test
    void saysWhereThereIsNoSuchDevice() {
        for (String command : List.of("doctor --kernels", "bench kernels")) {
            List<Object> arguments = new ArrayList<>(List.of((Object[]) command.split(" ")));
            if (Device.probeCuda().count() > 0) {
                arguments.addAll(List.of("--device", "cuda:77"));
            }
            CommandLineRun run = CommandLineRun.of(arguments.toArray())
                    .assertError(2, "error: There is no device cuda:")
                    .assertError(2, " (CUDA ").assertError(2, "; --device cpu takes the CPU");
            assertEquals("", run.out());
        }
    }

    /** With a program beside the library that finds a kernel wrong. */
    @Test
    void failsWhereAKernelIsWrong() throws Exception {
        Files.copy(Path.of(Loader.getLoadedLibraries().get("vblora")), folder.resolve("libvblora.so"));
        Files.createFile(folder.resolve("vblora-bench"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        Files.writeString(folder.resolve("vblora-bench"), "#!/bin/sh\necho the table: \"$@\"\n"
                + "echo 'vblora-bench: 1 of 81 checks failed, first that of select (aligned, float32)' >&2\nexit 1\n");
        // Behind it, where a bundle has its other natives.
        String path = folder + File.pathSeparator + System.getProperty("java.library.path");
        Process process = CommandLineRun.start(List.of("-Djava.library.path=" + path,
                "-Dorg.bytedeco.javacpp.pathsFirst=true"), "doctor", "--kernels", "--seed", 5);
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(1, process.waitFor(), printed);
        assertEquals("the table: --check --device cuda --seed 5\n"
                + "vblora: error: 1 of 81 checks failed, first that of select (aligned, float32).\n", printed);
    }

    @Test
    void programLiesBesideTheLibrary() throws Exception {
        Path program = BenchProgram.locate();
        assertTrue(Files.isExecutable(program), program::toString);
        Process process = new ProcessBuilder(program.toString(), "--help").start();
        String help = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), help);
        assertTrue(help.startsWith("usage: vblora-bench "), help);
    }
}
