package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.InputException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The beginnings of long texts get the tokens that they have in the whole text. */
@Tag("slow")
class LongTextTest {
    private static final int LENGTH = 80_000;
    /** Words of several scripts, and what tokenizers treat in ways of their own. */
    private static final List<String> WORDS = List.of("the ", "bank", " of ", "vectors", "na\u00efve ",
            "\u0431\u0430\u043d\u043a ", "\u6f22\u5b57", "\u0628\u0646\u0643 ", "\ud83e\udd99", "e\u0301",
            "\n\n", "    ", "12345", "'s ", "\u0e18\u0e19\u0e32", "</s>", "!?...");

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"stories260K-hf", "llama2-tokenizer", "gpt2-tokenizer"})
    void beginsAsTheWholeTextDoes(String name) {
        long seed = 17;
        Random random = new Random(seed);
        StringBuilder mixed = new StringBuilder();
        while (mixed.length() < LENGTH) {
            mixed.append(WORDS.get(random.nextInt(WORDS.size())));
        }
        try (Tokenizer tokenizer = Tokenizer.open(Golden.shared("data/" + name))) {
            for (String text : List.of(mixed.toString(), "ab".repeat(LENGTH / 2), "\u6f22".repeat(LENGTH),
                    "\ud83e\udd99".repeat(LENGTH / 2))) {
                int[] whole = tokenizer.encode(text);
                for (int most : new int[] {2, 512, 9000, whole.length - 1}) {
                    assertArrayEquals(Arrays.copyOf(whole, Math.min(most, whole.length)), tokenizer.start(text, most),
                            () -> "seed " + seed + ", " + most + " of " + text.substring(0, 20));
                }
            }
        }
    }

    @Test
    void asMuchIsReadAsIsNeeded() throws IOException {
        TokenizerFixture.write(folder);
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            String text = "the bank of vectors ".repeat(5_000_000); // 100 million characters
            long begin = System.nanoTime();
            assertArrayEquals(new int[] {1, 3, 4, 5}, tokenizer.start(text, 4));
            assertArrayEquals(new int[] {1, 3, 4, 5}, tokenizer.encode(text, null, 4).inputIds());
            assertArrayEquals(new int[] {3, 4, 3, 4, 5}, tokenizer.encode("the bank of vectors", text, 5).inputIds());
            assertTrue(System.nanoTime() - begin < 20e9, "seconds for what is at the beginning");
            assertEquals(folder.resolve("tokenizer.json") + ": found a text of 100,000,000 characters; expected at "
                    + "most 1,048,576, to be tokenized whole",
                    assertThrows(InputException.class, () -> tokenizer.encode(text)).getMessage());
            String blank = " ".repeat(2_000_000);
            assertEquals(folder.resolve("tokenizer.json") + ": found a text of 2,000,000 characters; expected one that "
                    + "has more than 4 tokens in 1,048,576",
                    assertThrows(InputException.class, () -> tokenizer.start(blank, 4)).getMessage());
        }
    }

    /** A clock by which a text takes the square of its length in microseconds. */
    @Test
    void aTimeThatIsNotLinearIsRefused() {
        long[] time = new long[1];
        LongText texts = new LongText("file", 1 << 20, (text, pair) -> {
            time[0] += (long) text.length() * text.length() * 1000;
            return new LongText.Tokens(new int[0], new int[0], new long[0]);
        }, () -> time[0]);
        String message = assertThrows(InputException.class,
                () -> texts.encode("a".repeat(1 << 20), null, Integer.MAX_VALUE)).getMessage();
        assertEquals("file: found a text of 1,048,576 characters, of which 131,072 take 17179.9 seconds and half of "
                + "them 4295.0; expected a text that it tokenizes in a time that is linear", message);
    }
}
