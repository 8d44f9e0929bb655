package pages

// NeedUser are the accounts that only their user can mend. They come first.
func (c Connect) NeedUser() []Account { return c.accounts(true) }

// Settled are the other accounts.
func (c Connect) Settled() []Account { return c.accounts(false) }

func (c Connect) accounts(needUser bool) []Account {
	var some []Account
	for _, a := range c.Accounts {
		if statusActs(a.Status) == needUser {
			some = append(some, a)
		}
	}
	return some
}

// Count is how many accounts of a platform there are.
func (c Connect) Count(platform string) int {
	n := 0
	for _, a := range c.Accounts {
		if a.Platform == platform && a.Status != "disconnected" {
			n++
		}
	}
	return n
}
