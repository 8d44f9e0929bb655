package storetest

// A flaw is a store that breaks one sentence of the contract.
type flaw struct {
	sentence string
	broken   string          // what is wrong with the store
	breaks   func(s *flawed) // makes it so
}

// flaws returns at least one flaw for each sentence.
func flaws() []flaw {
	var all []flaw
	for _, group := range []struct {
		name  string
		flaws []flaw
	}{
		{"flows", flowFlaws()},
		{"caps", capFlaws()},
		{"moves", moveFlaws()},
		{"commits", commitFlaws()},
		{"refused commits", refusedCommitFlaws()},
		{"accounts", accountFlaws()},
		{"lists", listFlaws()},
		{"releases", releaseFlaws()},
		{"claims", claimFlaws()},
		{"due claims", dueFlaws()},
		{"sent", sentFlaws()},
		{"settlements", settleFlaws()},
		{"late answers", lateFlaws()},
		{"subjects", subjectFlaws()},
		{"clients", clientFlaws()},
		{"events", eventFlaws()},
		{"tenants", tenantFlaws()},
		{"ended tenants", endedFlaws()},
		{"erased tenants", eraseFlaws()},
		{"copies", copyFlaws()},
	} {
		for _, f := range group.flaws {
			f.sentence = group.name + "/" + f.sentence
			all = append(all, f)
		}
	}
	return all
}
