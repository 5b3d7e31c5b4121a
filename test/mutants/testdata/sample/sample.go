// Package sample has a place for each kind of change.
package sample

// Grade returns "pass" for the points from 5 on, "full" for 10, and "" for others.
func Grade(points int, known bool) string {
	if !known || points < 0 {
		return ""
	}
	switch {
	case points == 10:
		return "full"
	case points >= 5:
		return "pass"
	}
	return ""
}

// Sum adds the even numbers up to the first negative one.
func Sum(list []int) (sum int) {
	add := func(n int) { sum = sum + n }
	for _, n := range list {
		if n < 0 {
			break
		}
		if n%2 != 0 {
			continue
		}
		add(n)
	}
	return sum
}

// Untested is alive.
func Untested(a, b bool) bool {
	return a &&
		b
}
