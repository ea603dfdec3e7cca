package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.vblora.Golden;
import io.vblora.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.Map;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TokenizerTest {
    @TempDir
    Path folder;

    private Path write(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content);
    }

    private String refusal() {
        return assertThrows(InputException.class, () -> Tokenizer.open(folder)).getMessage();
    }

    @Test
    void encodesWholeTextsWithSpecialTokensWhateverTheFileSaysOfTruncationAndPadding() throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL);
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            assertArrayEquals(new int[] {1, 3, 4, 5, 6, 0}, tokenizer.encode("the bank of vectors grows"));
            assertEquals("the bank of vectors", tokenizer.decode(1, 3, 4, 5, 6));
            assertEquals(OptionalInt.empty(), tokenizer.eosTokenId());
        }
    }

    @Test
    void findsTheEndOfSequenceTokenInTheFilesBesideIt() throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL);
        write("config.json", "{\"eos_token_id\": [5, 6]}");
        assertEos(5);
        write("special_tokens_map.json", "{\"eos_token\": {\"content\": \"</s>\", \"lstrip\": false}}");
        assertEos(2);
        write("tokenizer_config.json", "{\"eos_token\": \"<s>\"}");
        assertEos(1);
        write("tokenizer_config.json", "{\"eos_token\": null}");
        assertEos(2);
    }

    private void assertEos(int expected) {
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            assertEquals(OptionalInt.of(expected), tokenizer.eosTokenId());
        }
    }

    @Test
    void refusesAnEndOfSequenceTokenThatItDoesNotHave() throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL);
        Path config = write("tokenizer_config.json", "{\"eos_token\": \"<end>\"}");
        String message = refusal();
        assertTrue(message.startsWith(config + ": eos_token: found \"<end>\""), message);
    }

    @Test
    void refusesAnEndOfSequenceTokenWhoseIdNoModelHas() throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL.replace("\"id\": 1, \"content\": \"<s>\"",
                "\"id\": 4294967295, \"content\": \"<s>\"").replace("\"<s>\": 1,", "\"<s>\": 4294967295,"));
        Path config = write("tokenizer_config.json", "{\"eos_token\": \"<s>\"}");
        String message = refusal();
        assertTrue(message.startsWith(config + ": eos_token: found \"<s>\""), message);
    }

    @Test
    void saysOfAFolderInTheFilesPlaceThatItIsOne() throws IOException {
        Path file = Files.createDirectory(folder.resolve("tokenizer.json"));
        assertTrue(refusal().startsWith(file + ": found a folder; expected"), refusal());
    }

    @Test
    void refusesAMissingFile() {
        assertEquals(folder.resolve("tokenizer.json")
                + ": found no such file; expected a tokenizer in Hugging Face's format, "
                + "tokenizer.json", refusal());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        // what is replaced | by what | what the message says
        "\"type\": \"WordLevel\"   | \"type\": \"NoSuchModel\"   | tokenizers library refuses",
        "\"special_tokens\": {\"<s>\" | \"special_tokens\": {\"<other>\" | post_processor.single: found the special "
                + "token \"<s>\"",
        "\"normalizer\": null | \"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"} | "
                + "precompiled_charsmap",
        "\"normalizer\": null | \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Precompiled\", "
                + "\"precompiled_charsmap\": \"EAAAAAAAAAA=\"}]} | precompiled_charsmap",
        "\"normalizer\": null | \"normalizer\": {\"type\": \"Precompiled\"} | precompiled_charsmap",
        // not canonical; an empty trie; a root that leads out of the trie of one unit
        "\"normalizer\": null | \"normalizer\": {\"precompiled_charsmap\": \"BAAAAAAAAAB\"} | precompiled_charsmap",
        "\"normalizer\": null | \"normalizer\": {\"precompiled_charsmap\": \"AAAAAA==\"} | precompiled_charsmap",
        "\"normalizer\": null | \"normalizer\": {\"precompiled_charsmap\": \"BAAAAAAAAAA=\"} | precompiled_charsmap",
        "\"normalizer\": null | \"normalizer\": [true, true] | normalizer: found an array",
        "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], | {\"Sequence\": {\"id\": \"B\", \"type_id\": 0}}], | "
                + "post_processor.single: found {\"Sequence\":{\"id\":\"B\",\"type_id\":0}}; expected the sequence A",
        "{\"type\": \"TemplateProcessing\", | {\"processors\": [{\"single\": []}, {\"pair\": []}], | "
                + "post_processor.processors[1]: found a second template",
        "\"decoder\": null | \"decoder\": {\"a\": 1e999} | decoder: found an infinite number",
        "\"decoder\": null | \"decoder\": {\"a\": \"\\ud800\"} | decoder: found half of a surrogate pair",
        "\"decoder\": null | \"decoder\": {\"a\": DEEP} | decoder: found more than 64 levels",
        "\"decoder\": null | \"decoder\": {\"type\": \"Strip\", \"content\": \" \", \"start\": 0, \"stop\": 1} | "
                + "decoder.stop: found 1; expected 0",
        "\"type\": \"WordLevel\" | \"merges\": [[\"a\", \"b\"]], \"continuing_subword_prefix\": \"##\" | "
                + "model.merges[0]: found \"b\" as the second part; expected one that begins with the prefix \"##\"",
        "\"version\": \"1.0\", | \"version\": | malformed JSON",
        // expressions over which the library ends the process, wherever it takes them
        "{\"type\": \"Whitespace\"} | {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(.*)*x\"}, "
                + "\"behavior\": \"Isolated\", \"invert\": false} | pre_tokenizer.pattern.Regex: found \"(.*)*x\", "
                + "which has a loop around what may be empty; expected a regular expression whose time is linear",
        "{\"type\": \"Whitespace\"} | {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Sequence\", "
                + "\"pretokenizers\": [{\"pattern\": {\"Regex\": \"(a+)+b\"}}]}]} | "
                + "pre_tokenizer.pretokenizers[0].pretokenizers[0].pattern.Regex: found",
        "\"normalizer\": null | \"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"a*a*b\"}, "
                + "\"content\": \"\"} | normalizer.pattern.Regex: found",
        "\"decoder\": null | \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": "
                + "{\"Regex\": \"(?=.*x)*y\"}, \"content\": \"\"}]} | decoder.decoders[0].pattern.Regex: found",
        "\"normalizer\": null | \"normalizer\": {\"type\": \"Prepend\", \"prepend\": \"LONG\"} | normalizer.prepend: "
                + "found 1000000 characters; expected at most 1000",
        "\"normalizer\": null | \"normalizer\": {\"normalizers\": [MANY{\"type\": \"NFC\"}]} | "
                + "found more than 100 parts",
        "\"normalizer\": null | \"normalizer\": {\"normalizers\": [{\"type\": \"NFKC\"}, {\"type\": \"NFKC\"}, "
                + "{\"type\": \"NFKC\"}]} | may make a text 5832 times longer",
        "\"type\": \"WordLevel\" | \"max_input_chars_per_word\": 1000000 | "
                + "model.max_input_chars_per_word: found 1000000",
    })
    void refusesABrokenFile(String target, String replacement, String expected) throws IOException {
        assertTrue(TokenizerFixture.WORD_LEVEL.contains(target));
        Path file = write("tokenizer.json", TokenizerFixture.WORD_LEVEL.replace(target,
                replacement.replace("DEEP", "[".repeat(100) + "]".repeat(100)).replace("LONG", "a".repeat(1_000_000))
                        .replace("MANY", "{\"type\": \"NFC\"}, ".repeat(100))));
        String message = refusal();
        assertTrue(message.startsWith(file.toString()) && message.contains(expected), message);
    }

    @Test
    void refusesMoreAddedTokensThanItCanAddInSeconds() throws IOException {
        String added = IntStream.range(0, 100_000).mapToObj(i -> "{\"id\": " + (7 + i) + ", \"content\": \"<" + i
                + ">\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                + "\"special\": true}, ").collect(Collectors.joining());
        Path file = write("tokenizer.json", TokenizerFixture.WORD_LEVEL.replace("\"added_tokens\": [",
                "\"added_tokens\": [" + added));
        assertEquals(file + ": added_tokens: found 100002 tokens of 688898 characters together; expected at most "
                + "20000 of 1000000: the tokenizers library takes minutes for more", refusal());
    }

    @Test
    void refusesNullAndWhatFollowsItsEnd() throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL);
        Tokenizer tokenizer = Tokenizer.open(folder);
        assertThrows(NullPointerException.class, () -> tokenizer.encode(null));
        tokenizer.close();
        tokenizer.close();
        assertThrows(IllegalStateException.class, () -> tokenizer.encode("the"));
        assertThrows(IllegalStateException.class, () -> tokenizer.decode(3));
    }

    @Test
    void refusesAPipe() throws Exception {
        Path pipe = Pipes.make(folder.resolve("tokenizer.json"));
        assertEquals(pipe + ": found not a regular file; expected a tokenizer in Hugging Face's format, tokenizer.json",
                assertTimeoutPreemptively(Duration.ofSeconds(10), this::refusal));
    }

    @Test
    void refusesATextForWhichThereIsNoToken() throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL
                .replace("\"unk_token\": \"<unk>\"", "\"unk_token\": \"<none>\""));
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            String message = assertThrows(InputException.class, () -> tokenizer.encode("unheard of")).getMessage();
            assertTrue(message.contains("a text that it cannot encode"), message);
        }
    }

    private static final String BERT_PAIR = """
            "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
                     {"SpecialToken": {"id": "<s>", "type_id": 1}}],
            """;

    private Tokenizer bertLike() throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL.replaceFirst("\"pair\": .*\n",
                Matcher.quoteReplacement(BERT_PAIR)));
        return Tokenizer.open(folder);
    }

    private static void assertEncoding(Tokenizer.Encoding encoding, boolean truncated, int[] ids, int[] types) {
        assertArrayEquals(ids, encoding.inputIds());
        assertArrayEquals(types, encoding.tokenTypeIds());
        assertEquals(truncated, encoding.truncated());
    }

    @Test
    void encodesPairsAndCutsTheLongerTextFirst() throws IOException {
        try (Tokenizer tokenizer = bertLike()) {
            assertEncoding(tokenizer.encode("the bank", null, 3), false, new int[] {1, 3, 4}, new int[3]);
            assertEncoding(tokenizer.encode("the bank", null, 2), true, new int[] {1, 3}, new int[2]);
            assertEncoding(tokenizer.encode("the bank", "of", 6), false, new int[] {1, 3, 4, 1, 5, 1},
                    new int[] {0, 0, 0, 0, 1, 1});
            assertEncoding(tokenizer.encode("the bank of", "vectors of", 6), true, new int[] {1, 3, 4, 1, 6, 1},
                    new int[] {0, 0, 0, 0, 1, 1});
            assertEncoding(tokenizer.encode("the", "vectors of the bank", 7), true, new int[] {1, 3, 1, 6, 5, 3, 1},
                    new int[] {0, 0, 0, 1, 1, 1, 1});
            // a special token that stands in a text is text
            assertEncoding(tokenizer.encode("the <s>", "of", 5), true, new int[] {1, 3, 1, 5, 1},
                    new int[] {0, 0, 0, 1, 1});
            assertEncoding(tokenizer.encode("", "of", 5), false, new int[] {1, 1, 5, 1}, new int[] {0, 0, 1, 1});
            String message = assertThrows(InputException.class, () -> tokenizer.encode("the", "of", 3)).getMessage();
            assertEquals("max_seq_length: found 3, of which special tokens take 3; expected at least 4", message);
        }
    }

    /** Against the tokenizers library's own truncation, over all lengths of two texts. */
    @Test
    void truncatesAsTheTokenizersLibraryDoes() throws IOException {
        String[] words = {"the", "bank", "of", "vectors"};
        try (Tokenizer tokenizer = bertLike()) {
            for (int maxLength = 5; maxLength <= 12; maxLength++) {
                try (HuggingFaceTokenizer library = HuggingFaceTokenizer.newInstance(folder.resolve("tokenizer.json"),
                        Map.of("truncation", "longest_first", "padding", "false", "maxLength", "" + maxLength))) {
                    for (int i = 0; i < 12 * 12; i++) {
                        String text = String.join(" ", Collections.nCopies(1 + i / 12, words[i % 3]));
                        String pair = String.join(" ", Collections.nCopies(1 + i % 12, words[3]));
                        Encoding expected = library.encode(text, pair);
                        Tokenizer.Encoding found = tokenizer.encode(text, pair, maxLength);
                        assertArrayEquals(expected.getIds(), IntStream.of(found.inputIds()).asLongStream().toArray(),
                                maxLength + ": " + text + " | " + pair);
                        assertArrayEquals(expected.getTypeIds(),
                                IntStream.of(found.tokenTypeIds()).asLongStream().toArray());
                    }
                }
            }
        }
    }

    /**
     * Expected ids: the reference.json of the model, made with numpy and checked against the model's original program.
     */
    @Test
    void encodesAsStories260KDoes() throws IOException {
        Path model = Golden.shared("data/stories260K-hf");
        try (Tokenizer tokenizer = Tokenizer.open(model)) {
            for (JsonNode reference : new ObjectMapper().readTree(model.resolve("reference.json").toFile())) {
                int[] expected = ints(reference.get("input_ids"));
                assertTrue(expected.length > 10);
                assertArrayEquals(expected, tokenizer.encode(reference.get("prompt").asText()));
                assertEquals(reference.get("greedy_text").asText(),
                        tokenizer.decode(ints(reference.get("greedy_ids"))));
            }
            assertEquals(OptionalInt.of(2), tokenizer.eosTokenId());
        }
    }

    /** Expected ids: OpenAI's and Meta's published encodings of "Hello world". */
    @Test
    void encodesAsGpt2AndLlama2Do() {
        Path gpt2 = Golden.shared("data/gpt2-tokenizer");
        Path llama2 = Golden.shared("data/llama2-tokenizer");
        try (Tokenizer tokenizer = Tokenizer.open(gpt2)) {
            assertArrayEquals(new int[] {15496, 995}, tokenizer.encode("Hello world"));
            assertEquals(OptionalInt.of(50256), tokenizer.eosTokenId());
            roundTrip(tokenizer, "naïve 🦙\tlama\n\n1 < 2");
        }
        try (Tokenizer tokenizer = Tokenizer.open(llama2)) {
            assertArrayEquals(new int[] {1, 15043, 3186}, tokenizer.encode("Hello world"));
            assertFalse(tokenizer.eosTokenId().isPresent());
            roundTrip(tokenizer, "naïve 🦙\tlama\n\n1 < 2");
        }
    }

    private static void roundTrip(Tokenizer tokenizer, String text) {
        assertEquals(text, tokenizer.decode(tokenizer.encode(text)));
    }

    private static int[] ints(JsonNode array) {
        return StreamSupport.stream(array.spliterator(), false).mapToInt(JsonNode::intValue).toArray();
    }
}
