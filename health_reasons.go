package connect

// symptom is what can be wrong with an account: who must act, how bad it is,
// and two sentences for people.
type symptom struct {
	code, who string // empty: it counts, and is not told
	state     HealthState
	reconnect bool // only a new consent mends it
	noToken   bool // the token does not work
	detail    string
	advice    string // empty where there is nothing to do
}

const (
	whoUser     = "user"
	whoHost     = "host"
	whoPlatform = "platform"
	whoNobody   = "nobody"
)

var (
	tokenExpired = symptom{
		code: string(AccountTokenExpired), who: whoUser, state: HealthError, reconnect: true, noToken: true,
		detail: "The token has ended and cannot be renewed.", advice: "Connect the account again.",
	}
	scopeMissing = symptom{
		code: string(CodeScopeMissing), who: whoUser, state: HealthWarning,
		detail: "Permissions that the account needs were not granted.", advice: "Connect the account again and leave all boxes ticked.",
	}
	targetLost = symptom{
		code: string(AccountTargetLost), who: whoUser, state: HealthError,
		detail: "What was connected is gone at the platform, or out of reach for this person.", advice: "Choose another, or connect the account again with enough rights.",
	}
	suspended = symptom{
		code: string(AccountSuspended), who: whoPlatform, state: HealthError,
		detail: "The platform has blocked the account or this app.", advice: "See the platform's own notices, and the app's dashboard there.",
	}

	// ofStatus are the statuses that do not work, or not fully.
	ofStatus = map[AccountStatus]symptom{
		AccountLimited:      scopeMissing,
		AccountTokenExpired: tokenExpired,
		AccountReauthRequired: {
			code: string(AccountReauthRequired), who: whoUser, state: HealthError, reconnect: true, noToken: true,
			detail: "The platform has ended the consent.", advice: "Connect the account again.",
		},
		AccountTargetLost: targetLost,
		AccountSuspended:  suspended,
		AccountDisconnected: {
			code: string(AccountDisconnected), who: whoNobody, state: HealthError, noToken: true,
			detail: "The account was disconnected.",
		},
	}

	// What is stored beside the status.
	tokenEnding = symptom{
		code: "token_ending", who: whoUser, state: HealthWarning,
		detail: "The token ends soon and is not being renewed.", advice: "Connect the account again before it ends.",
	}
	versionEnding = symptom{
		code: "version_ending", who: whoHost, state: HealthWarning,
		detail: "The platform ends the API version that is in use.", advice: "Move the provider to a newer API version.",
	}
	refreshFailing = symptom{
		code: "refresh_failing", who: whoNobody, state: HealthHealthy,
		detail: "The token could not be refreshed; it is tried again.",
	}
	refreshUncertain = symptom{
		code: "refresh_uncertain", who: whoNobody, state: HealthHealthy,
		detail: "The answer to a refresh was lost; it is tried again when that is safe.",
	}
	clientMismatch = symptom{
		code: string(CodeClientMismatch), who: whoHost, state: HealthWarning,
		detail: "The account was connected through another client than the one that is configured, and is not refreshed.", advice: "Configure the client that it was connected through, or connect the account again.",
	}
	keysMissing = symptom{
		code: "keys_missing", who: whoHost, state: HealthError, noToken: true,
		detail: "The stored tokens do not open.", advice: "Give this process every key that tokens were sealed with.",
	}

	// What a platform says when it is asked.
	tokenRefused = symptom{
		code: "token_refused", who: whoNobody, state: HealthWarning, noToken: true,
		detail: "The platform does not accept the token; it is refreshed when it is used next.",
	}
	tokenRejected = symptom{
		code: "token_refused", who: whoUser, state: HealthError, reconnect: true, noToken: true,
		detail: "The platform does not accept the token, and it cannot be refreshed.", advice: "Connect the account again.",
	}
	identityMismatch = symptom{
		code: string(CodeIdentityMismatch), who: whoUser, state: HealthError, reconnect: true, noToken: true,
		detail: "The platform says that the token is somebody else's.", advice: "Connect the account again.",
	}

	// ofReason are the ends of a grant that are not the platform's plain word.
	ofReason = map[Code]symptom{
		CodeIdentityMismatch: identityMismatch,
		reasonUncertain: {
			code: string(AccountReauthRequired), who: whoUser, state: HealthError, reconnect: true, noToken: true,
			detail: "The answer to a refresh was lost, and the platform does not accept the token any more.", advice: "Connect the account again.",
		},
	}

	// ofClass are the other answers that say something of the account.
	ofClass = map[ErrorClass]symptom{
		ClassTargetLost:   targetLost,
		ClassSuspended:    suspended,
		ClassScopeMissing: scopeMissing,
		ClassConfig: {
			code: "client_refused", who: whoHost, state: HealthWarning,
			detail: "The platform does not accept this app or its settings.", advice: "Check the app's id, secret and permissions at the platform.",
		},
	}
)
