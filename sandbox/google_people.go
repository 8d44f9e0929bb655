package sandbox

import "fmt"

// A gChannel is a YouTube channel.
type gChannel struct {
	id, title, handle string
}

// A gAccount is an account of Google Business Profile, with what the person may
// see of it.
type gAccount struct {
	id, name, kind, role string
	locations            []gLocation
	closed               bool // listed, and not to be read
}

// A gLocation is a place of business.
type gLocation struct {
	id, title, storeCode string
	street, town         string // both empty: the business comes to its customers
	unverified           bool
}

var (
	bakeryMitte = gLocation{id: "9001", title: "Example Bakery", storeCode: "B-01", street: "Hauptstr. 1", town: "Berlin"}
	maraChannel = &gChannel{id: "UCmara00000000000000000a", title: "Mara bakes", handle: "@marabakes"}
)

// googlePersonas are the people of Google. Subjects have 21 digits, as most
// have. Who manages a channel by a Brand Account is somebody else there, with a
// subject of its own.
var googlePersonas = []persona{
	{
		id: "mara", label: "Mara, one channel, four locations in two accounts", subject: "100000000000000000001", name: "Mara Example", channel: maraChannel,
		accounts: []gAccount{
			{id: "1001", name: "Mara Example", kind: "PERSONAL", role: "PRIMARY_OWNER", locations: []gLocation{bakeryMitte, {id: "9002", title: "Mara's Catering"}}},
			{id: "2001", name: "Bakeries North", kind: "LOCATION_GROUP", role: "MANAGER", locations: []gLocation{
				bakeryMitte,
				{id: "9003", title: "Example Bakery", storeCode: "B-02", street: "Am Hafen 7", town: "Hamburg"},
				{id: "9004", title: "Example Bakery", storeCode: "B-03", street: "Markt 3", town: "Kiel", unverified: true},
			}},
		},
	},
	{id: "brand", label: "Mara, as the channel of her brand", subject: "100000000000000000002", name: "Mara's brand", channel: &gChannel{id: "UCbrand0000000000000000b", title: "Example Bakery", handle: "@examplebakery"}},
	{id: "single", label: "Sam, exactly one location", subject: "100000000000000000003", name: "Sam Single", accounts: []gAccount{
		{id: "1003", name: "Sam Single", kind: "PERSONAL", role: "PRIMARY_OWNER", locations: []gLocation{{id: "9100", title: "Sam's Bikes", street: "Ring 9", town: "Bonn"}}},
	}},
	{id: "nobody", label: "Noor, no channel and no location", subject: "100000000000000000004", name: "Noor Nobody"},
	{id: "chain", label: "Chris, a chain of 150 locations in three accounts", subject: "100000000000000000005", name: "Chris Chain", accounts: []gAccount{
		{id: "3001", name: "Chain North", kind: "LOCATION_GROUP", role: "OWNER", locations: branches(0, 120)},
		{id: "3002", name: "Chain South", kind: "LOCATION_GROUP", role: "MANAGER", locations: branches(120, 20)},
		{id: "3003", name: "Chain Airports", kind: "LOCATION_GROUP", role: "SITE_MANAGER", locations: branches(140, 10)},
	}},
	{id: "agency", label: "Agnes, an agency with 43 accounts, one of which is closed to her", subject: "100000000000000000006", name: "Agnes Agency", accounts: clients(43)},
}

// branches are n locations of a chain.
func branches(from, n int) []gLocation {
	towns := []string{"Aachen", "Bremen", "Celle", "Dresden", "Erfurt"}
	list := make([]gLocation, n)
	for i := range list {
		number := from + i + 1
		list[i] = gLocation{
			id: fmt.Sprintf("95000000000000000%03d", number), title: "Chain Coffee", storeCode: fmt.Sprintf("CC-%03d", number),
			street: fmt.Sprintf("Street %d", number), town: towns[number%len(towns)],
		}
	}
	return list
}

// clients are n accounts with a location each; the third may not be read.
func clients(n int) []gAccount {
	list := make([]gAccount, n)
	for i := range list {
		list[i] = gAccount{
			id: fmt.Sprintf("40%02d", i+1), name: fmt.Sprintf("Client %02d", i+1), kind: "LOCATION_GROUP", role: "MANAGER", closed: i == 2,
			locations: []gLocation{{id: fmt.Sprintf("96%02d", i+1), title: fmt.Sprintf("Shop %02d", i+1), street: "Lane 1", town: "Ulm"}},
		}
	}
	return list
}
