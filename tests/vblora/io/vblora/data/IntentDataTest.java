package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The demo's intent data set is what its README says. */
class IntentDataTest {
    private record Utterance(String text, String intent) {
        /** The text's words, whatever their case and the punctuation around them. */
        List<String> words() {
            String plain = text.toLowerCase(Locale.ROOT).replace("'", "").replaceAll("[^\\p{L}\\p{N}]+", " ");
            return List.of(plain.strip().split(" "));
        }
    }

    // Stricter than RFC 4180: no line breaks within a text
    private static final Pattern ROW = Pattern.compile("(?:\"((?:[^\"]|\"\")+)\"|([^\",]+)),([a-z_]+)");

    private static final Pattern README_INTENT = Pattern.compile("(?m)^\\| `([a-z_]+)` \\| .+ \\|$");

    private static byte[] bytes(String name) throws IOException {
        try (InputStream in = IntentDataTest.class.getResourceAsStream("/io/vblora/demo/" + name)) {
            return in.readAllBytes();
        }
    }

    private static String content(String name) throws IOException {
        return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes(name))).toString();
    }

    private static List<Utterance> read(String name) throws IOException {
        String content = content(name);
        assertTrue(content.endsWith("\n"), name);
        assertFalse(content.contains("\r"), name);
        List<String> lines = content.lines().toList();
        assertEquals("text,intent", lines.get(0), name);
        List<Utterance> utterances = new ArrayList<>();
        for (int i = 1; i < lines.size(); ++i) {
            Matcher row = ROW.matcher(lines.get(i));
            assertTrue(row.matches(), name + ":" + (i + 1) + ": " + lines.get(i));
            boolean quoted = row.group(1) != null;
            String text = quoted ? row.group(1).replace("\"\"", "\"") : row.group(2);
            assertEquals(text.contains(",") || text.contains("\""), quoted, "quotes only where needed: " + text);
            utterances.add(new Utterance(text, row.group(3)));
        }
        return utterances;
    }

    private static Set<List<String>> sequences(Utterance utterance, int length) {
        List<String> words = utterance.words();
        Set<List<String>> sequences = new HashSet<>();
        for (int i = 0; i + length <= words.size(); ++i) {
            sequences.add(words.subList(i, i + length));
        }
        return sequences;
    }

    @ParameterizedTest
    @CsvSource({"train.csv, 42", "held-out.csv, 16"})
    void hasAsManyOfEachIntentOfTheReadme(String name, long count) throws IOException {
        Set<String> intents = README_INTENT.matcher(content("README.md")).results().map(found -> found.group(1))
                .collect(Collectors.toSet());
        assertEquals(12, intents.size());
        assertEquals(intents.stream().collect(Collectors.toMap(Function.identity(), intent -> count)),
                read(name).stream().collect(Collectors.groupingBy(Utterance::intent, Collectors.counting())));
    }

    @ParameterizedTest
    @ValueSource(strings = {"train.csv", "held-out.csv"})
    void textsAreShortAndClean(String name) throws IOException {
        for (Utterance utterance : read(name)) {
            String text = utterance.text();
            assertEquals(text.strip().replaceAll("\\s+", " "), text);
            assertTrue(text.split(" ").length <= 60, text);
            assertTrue(utterance.words().stream().anyMatch(word -> word.matches("\\p{L}+")), text);
        }
    }

    @Test
    void noTextComesTwice() throws IOException {
        List<Utterance> all = new ArrayList<>(read("train.csv"));
        all.addAll(read("held-out.csv"));
        TreeMap<String, List<Utterance>> same = all.stream().collect(
                Collectors.groupingBy(found -> String.join(" ", found.words()), TreeMap::new, Collectors.toList()));
        same.values().removeIf(found -> found.size() == 1);
        assertEquals(new TreeMap<>(), same);
    }

    @Test
    void trainAndHeldOutShareNoFourWordsInARow() throws IOException {
        Set<List<String>> heldOut = read("held-out.csv").stream()
                .flatMap(utterance -> sequences(utterance, 4).stream()).collect(Collectors.toSet());
        assertTrue(heldOut.size() > 1000);
        for (Utterance utterance : read("train.csv")) {
            Set<List<String>> shared = sequences(utterance, 4);
            shared.retainAll(heldOut);
            assertEquals(Set.of(), shared, utterance.text());
        }
    }

    /** Expected: the checksum of the file as it was first committed. Results measured on it depend on every byte. */
    @Test
    void heldOutIsAsItWasFirstCommitted() throws IOException, NoSuchAlgorithmException {
        assertEquals("5b511afbbc7c3f97074a3022d1230274d661d2c643a7a25d9486f339e528b372",
                HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes("held-out.csv"))));
    }
}
