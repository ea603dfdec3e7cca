package io.vblora.adapter;

import java.math.BigInteger;
import java.util.Comparator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Orders text as {@link String} does, except that runs of digits are ordered by value: layers.2 before layers.10. */
enum NaturalOrder implements Comparator<String> {
    INSTANCE;

    private static final Pattern PART = Pattern.compile("\\d+|\\D+");

    @Override
    public int compare(String a, String b) {
        Matcher partsA = PART.matcher(a);
        Matcher partsB = PART.matcher(b);
        while (true) {
            boolean moreA = partsA.find();
            boolean moreB = partsB.find();
            if (!moreA || !moreB) {
                return moreA != moreB ? Boolean.compare(moreA, moreB) : a.compareTo(b);
            }
            int order = compareParts(partsA.group(), partsB.group());
            if (order != 0) {
                return order;
            }
        }
    }

    private static int compareParts(String a, String b) {
        return isNumber(a) && isNumber(b) ? new BigInteger(a).compareTo(new BigInteger(b)) : a.compareTo(b);
    }

    private static boolean isNumber(String part) {
        return part.charAt(0) >= '0' && part.charAt(0) <= '9';
    }
}
