package io.vblora.regex;

import java.util.BitSet;
import java.util.Locale;

/**
 * A set of characters between two bounds, since versions of Unicode and engines differ: the characters in {@code least}
 * surely belong to it, those in {@code most} perhaps. Immutable.
 */
record CharacterSet(BitSet least, BitSet most) {
    private static final int CODE_POINTS = Character.MAX_CODE_POINT + 1;

    /** A set of which nothing is known. */
    static final CharacterSet UNKNOWN = new CharacterSet(new BitSet(), all());
    /** What a dot stands for: a line end may belong to it or not. */
    static final CharacterSet DOT = of('\n').not().or(new CharacterSet(new BitSet(), all()));

    /** The characters of each general category, by its number in {@link Character}, read once. */
    private static final class Categories {
        static final BitSet[] OF = new BitSet[Character.FINAL_QUOTE_PUNCTUATION + 1];
        /** The letters that name each category. */
        static final String[] NAMES = {"cn", "lu", "ll", "lt", "lm", "lo", "mn", "me", "mc", "nd", "nl", "no", "zs",
            "zl", "zp", "cc", "cf", null, "co", "cs", "pd", "ps", "pe", "pc", "po", "sm", "sc", "sk", "so", "pi", "pf"};

        static {
            for (int i = 0; i < OF.length; i++) {
                OF[i] = new BitSet();
            }
            for (int c = 0; c < CODE_POINTS; c++) {
                OF[Character.getType(c)].set(c);
            }
        }
    }

    private static BitSet all() {
        BitSet all = new BitSet(CODE_POINTS);
        all.set(0, CODE_POINTS);
        return all;
    }

    static CharacterSet of(int character) {
        return range(character, character);
    }

    static CharacterSet range(int first, int last) {
        BitSet range = new BitSet();
        range.set(first, last + 1);
        return new CharacterSet(range, range);
    }

    static CharacterSet of(String characters) {
        BitSet set = new BitSet();
        characters.codePoints().forEach(set::set);
        return new CharacterSet(set, set);
    }

    /** A general category, or a letter that stands for several of them; {@link #UNKNOWN} for any other property. */
    static CharacterSet property(String name) {
        String wanted = name.toLowerCase(Locale.ROOT);
        BitSet least = new BitSet();
        for (int type = 0; wanted.length() <= 2 && type < Categories.OF.length; type++) {
            String category = Categories.NAMES[type];
            if (!wanted.isEmpty() && category != null && category.startsWith(wanted)) {
                least.or(Categories.OF[type]);
            }
        }
        if (least.isEmpty()) {
            return UNKNOWN;
        }
        // The engine's Unicode may have assigned what this Java's has not
        BitSet most = (BitSet) least.clone();
        most.or(Categories.OF[Character.UNASSIGNED]);
        return new CharacterSet(least, most);
    }

    /** White space: everything that Unicode, Java or an engine may count as such. */
    static CharacterSet space() {
        CharacterSet least = of(" \t\n\r\f\u000b");
        return new CharacterSet(least.least, least.or(property("z")).or(range(0, 31)).or(of(0x85)).or(of(0xa0)).most);
    }

    /** Characters of words. */
    static CharacterSet word() {
        return property("l").or(property("nd")).or(of('_')).or(new CharacterSet(new BitSet(),
                property("m").or(property("n")).or(property("pc")).or(property("so")).or(property("cf")).most));
    }

    CharacterSet or(CharacterSet other) {
        return new CharacterSet(union(least, other.least), union(most, other.most));
    }

    CharacterSet and(CharacterSet other) {
        return not().or(other.not()).not();
    }

    CharacterSet not() {
        return new CharacterSet(complement(most), complement(least));
    }

    /** Whether one character may be in both. */
    boolean mayMeet(CharacterSet other) {
        return most.intersects(other.most);
    }

    private static BitSet union(BitSet a, BitSet b) {
        BitSet union = (BitSet) a.clone();
        union.or(b);
        return union;
    }

    private static BitSet complement(BitSet set) {
        BitSet complement = (BitSet) set.clone();
        complement.flip(0, CODE_POINTS);
        return complement;
    }
}
