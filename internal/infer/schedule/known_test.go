package schedule

import "slices"

// goldenClasses keeps the runs of the classes in the table.
func goldenClasses(runs []golden) []golden {
	known := func(g golden) bool {
		return slices.ContainsFunc(aliases(), func(a alias) bool { return a.class.name == g.Scheduler })
	}
	return slices.DeleteFunc(runs, func(g golden) bool { return !known(g) })
}
