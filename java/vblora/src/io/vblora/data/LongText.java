package io.vblora.data;

import io.vblora.InputException;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.LongSupplier;
import java.util.stream.IntStream;

/**
 * Tokenizes only as much of a long text as is needed for the tokens at its beginning. The last tokens of a piece of
 * text may depend on what follows it. So the text is tokenized up to some length and up to twice that length, until
 * both results begin with the same tokens, and with some more of them than are wanted.
 */
final class LongText {
    /** Texts up to this length are tokenized whole. */
    static final int SHORT = 1 << 16;

    private static final int LEAST = 1 << 14;
    private static final int CHARACTERS_OF_TOKEN = 8;
    /** How many tokens beyond the wanted ones have to be the same. */
    private static final int MARGIN = 64;
    /** After this time it is checked whether time grows faster than length. */
    private static final long SLOW_NANOS = 5_000_000_000L;

    private final String source;
    private final int longest;
    private final Encoder encoder;
    private final LongSupplier nanoTime;

    /** Tokenizes a whole text, or a pair of texts. */
    @FunctionalInterface
    interface Encoder {
        /** {@code pair} is null if there is none. */
        Tokens encode(String text, String pair);
    }

    /**
     * All that is known of some tokens.
     *
     * @param ids token ids with special tokens, [length]
     * @param types the text that each token belongs to, according to the post-processor, [length]
     * @param texts 0 in the first text, 1 in the second, -1 at special tokens, [length]
     */
    record Tokens(int[] ids, int[] types, long[] texts) {
        int count(int text) {
            return (int) Arrays.stream(texts).filter(id -> id == text).count();
        }

        /** Whether a text has more than {@code tokens} tokens in both, and its tokens are the same up to there. */
        boolean isSame(Tokens other, int text, int tokens) {
            int[] own = IntStream.range(0, ids.length).filter(i -> texts[i] == text).limit(tokens)
                    .map(i -> ids[i]).toArray();
            return own.length == tokens && Arrays.equals(own, IntStream.range(0, other.ids.length)
                    .filter(i -> other.texts[i] == text).limit(tokens).map(i -> other.ids[i]).toArray());
        }
    }

    /**
     * @param source the tokenizer's file, for messages
     * @param longest characters of a text that can be tokenized
     */
    LongText(String source, int longest, Encoder encoder, LongSupplier nanoTime) {
        this.source = source;
        this.longest = longest;
        this.encoder = encoder;
        this.nanoTime = nanoTime;
    }

    /**
     * The tokens of texts, or only of their beginnings where they have more than {@code most} tokens.
     *
     * @throws InputException if more text would have to be read than can be, or if the time for it is not linear
     */
    Tokens encode(String text, String pair, int most) {
        int whole = Math.max(text.length(), pair == null ? 0 : pair.length());
        int length = (int) Math.max(LEAST, Math.min(SHORT, (long) CHARACTERS_OF_TOKEN * most));
        Tokens before = null;
        long nanosBefore = 0;
        while (true) {
            long begin = nanoTime.getAsLong();
            Tokens tokens = encoder.encode(start(text, length), pair == null ? null : start(pair, length));
            long nanos = nanoTime.getAsLong() - begin;
            if (length >= whole || before != null && isEnough(before, tokens, most, length < text.length(),
                    pair != null && length < pair.length())) {
                return tokens;
            }
            if (before != null && nanos > SLOW_NANOS && nanos / 3 > nanosBefore) {
                throw new InputException(source, "", String.format(Locale.ROOT, "a text of %,d characters, of which "
                        + "%,d take %.1f seconds and half of them %.1f", whole, length, nanos / 1e9, nanosBefore / 1e9),
                        "a text that it tokenizes in a time that is linear");
            }
            if (length >= longest) {
                throw new InputException(source, "", String.format(Locale.ROOT, "a text of %,d characters", whole),
                        most == Integer.MAX_VALUE
                                ? String.format(Locale.ROOT, "at most %,d, to be tokenized whole", longest)
                                : String.format(Locale.ROOT, "one that has more than %,d tokens in %,d", most,
                                        longest));
            }
            before = tokens;
            nanosBefore = nanos;
            length = (int) Math.min(longest, 2L * length);
        }
    }

    private static boolean isEnough(Tokens before, Tokens now, int most, boolean cut, boolean cutPair) {
        return most < Integer.MAX_VALUE - MARGIN
                && (!cut || now.isSame(before, 0, most + MARGIN) && (cutPair || now.count(0) > now.count(1)))
                && (!cutPair || now.isSame(before, 1, most + MARGIN) && (cut || now.count(1) > now.count(0)));
    }

    /** The beginning of a text; it is one shorter where it would otherwise end within a surrogate pair. */
    private static String start(String text, int length) {
        if (length >= text.length()) {
            return text;
        }
        return text.substring(0, Character.isHighSurrogate(text.charAt(length - 1)) ? length - 1 : length);
    }
}
