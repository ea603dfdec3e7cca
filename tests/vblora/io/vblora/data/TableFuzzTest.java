package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Random tables are read as they were written; damaged ones are read or refused by file and line. */
@Tag("slow")
class TableFuzzTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<String> COLUMNS = List.of("text", "label");
    private static final String[] WORDS = {"the", "bank", " of ", "\"", "\"\"", ",", "'", "\u00e9", "\ud83e\udd99", "{",
        "]", "\\", "\\u0041", "\u0000", "\u2028", "1", "-0.5", "#", "|"};
    private static final String[] BREAKS = {"\t", "\n", "\r\n", "\r"};
    /** What damage puts in: what means something to a parser, and bytes that are not UTF-8. */
    private static final String[] PIECES = {"\"", "\"\"", ",", "\t", "\n", "\r", "\r\n", "{", "}", "[", "]", ":", "\\",
        "null", "0", "1e999", "\uFEFF", "\u0000", "\\ud800", "text", "[".repeat(2000), " ", "\u00ff"};

    @TempDir
    Path folder;

    private enum Format {
        CSV(TableFormat.CSV), TSV(TableFormat.TSV), JSON_LINES(TableFormat.JSON), JSON_ARRAY(TableFormat.JSON);

        private final TableFormat format;

        Format(TableFormat format) {
            this.format = format;
        }
    }

    @Test
    void readsWhatWasWrittenAndSurvivesDamage() throws IOException {
        TokenizerFixture.write(folder);
        int refused = 0;
        int read = 0;
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            for (int seed = 0; seed < 2000; seed++) {
                Random random = new Random(seed);
                Format format = Format.values()[seed % Format.values().length];
                List<List<String>> rows = rows(random, format);
                String text = write(random, format, rows);
                String where = "seed " + seed + ", " + format + ":\n" + text;
                Path file = Files.writeString(folder.resolve("data"), text);
                assertEquals(rows, TableFile.read(file, format.format, COLUMNS).stream().map(TableFile.Row::values)
                        .toList(), where);
                Files.write(file, damaged(random, text));
                try {
                    SequenceFile data = SequenceFile.readClassification(file, format.format,
                            new SequenceColumns("text", null, "label"), tokenizer, 8, Overlong.CUT,
                            TokenizerFixture.encoder(7, 2), null);
                    assertTrue(data.labels().size() > 1 && data.examples().size() > 1, where);
                    read++;
                } catch (InputException e) {
                    refused++;
                    // Only what concerns the whole file has no line
                    assertTrue(e.source().startsWith(file + ", line ") || e.source().equals(file.toString())
                            && (e.found().equals("no rows") || e.found().startsWith("only the label")), where + e);
                } catch (RuntimeException e) {
                    throw new AssertionError(where, e);
                }
            }
        }
        assertTrue(refused > 400 && read > 200, refused + " refused, " + read + " read");
    }

    private static List<List<String>> rows(Random random, Format format) {
        return IntStream.range(0, 2 + random.nextInt(5)).mapToObj(i -> {
            StringBuilder text = new StringBuilder("x");
            for (int n = random.nextInt(6); n > 0; n--) {
                boolean isBreak = format != Format.TSV && random.nextInt(4) == 0;
                text.append(isBreak ? BREAKS[random.nextInt(BREAKS.length)] : WORDS[random.nextInt(WORDS.length)]);
            }
            return List.of(text.toString(), i < 2 ? "" + i : WORDS[random.nextInt(2)]);
        }).collect(Collectors.toCollection(ArrayList::new));
    }

    private static String write(Random random, Format format, List<List<String>> rows) {
        String end = random.nextBoolean() ? "\r\n" : "\n";
        String bom = random.nextInt(4) == 0 ? "\uFEFF" : "";
        // A column that nobody asks for stands between the two
        return bom + switch (format) {
            case CSV -> "text,more,label" + end + rows.stream().map(row -> quoted(random, row.get(0)) + ",\"\n\","
                    + row.get(1)).collect(Collectors.joining(end)) + end;
            case TSV -> "text\tmore\tlabel" + end + rows.stream().map(row -> row.get(0) + "\t\"\t" + row.get(1))
                    .collect(Collectors.joining(end + end));
            case JSON_LINES -> rows.stream().map(TableFuzzTest::object).collect(Collectors.joining(end)) + end;
            case JSON_ARRAY -> rows.stream().map(TableFuzzTest::object)
                    .collect(Collectors.joining("," + end, "[", "]" + end));
        };
    }

    private static String quoted(Random random, String text) {
        boolean needed = text.chars().anyMatch(c -> "\",\n\r".indexOf(c) >= 0);
        return needed || random.nextBoolean() ? '"' + text.replace("\"", "\"\"") + '"' : text;
    }

    private static String object(List<String> row) {
        ObjectNode object = JSON.createObjectNode();
        object.put("text", row.get(0));
        object.putArray("more").add(1).addObject().put("text", "no");
        if (row.get(1).matches("[0-9]+")) {
            object.put("label", Integer.parseInt(row.get(1)));
        } else {
            object.put("label", row.get(1));
        }
        return object.toString();
    }

    private static byte[] damaged(Random random, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        for (int n = 1 + random.nextInt(3); n > 0; n--) {
            int from = random.nextInt(bytes.length + 1);
            int to = random.nextBoolean() ? from : Math.min(bytes.length, from + random.nextInt(8));
            String piece = PIECES[random.nextInt(PIECES.length)];
            ByteArrayOutputStream changed = new ByteArrayOutputStream();
            changed.writeBytes(Arrays.copyOf(bytes, from));
            switch (random.nextInt(4)) {
                case 0 -> {} // only taken away
                case 1 -> changed.writeBytes(Arrays.copyOfRange(bytes, to / 2, to));
                default -> changed.writeBytes(piece.getBytes(piece.equals("\u00ff") ? StandardCharsets.ISO_8859_1
                        : StandardCharsets.UTF_8));
            }
            if (random.nextInt(10) > 0) {
                changed.writeBytes(Arrays.copyOfRange(bytes, to, bytes.length));
            }
            bytes = changed.toByteArray();
        }
        return bytes;
    }
}
