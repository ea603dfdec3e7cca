package io.vblora.adapter;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;

/** Finds the names that are most like a mistyped one, by Levenshtein's edit distance. */
final class NearestNames {
    private static final int COUNT = 3;

    private NearestNames() {}

    /** At most three of the names, the nearest first. */
    static List<String> of(String name, Collection<String> names) {
        return names.stream()
                .sorted(Comparator.<String>comparingInt(other -> distance(name, other)).thenComparing(other -> other))
                .limit(COUNT).toList();
    }

    static int distance(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int substitution = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(substitution, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }
}
