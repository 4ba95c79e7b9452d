// SPDX-License-Identifier: BSD-2-Clause

// Hostile_node is a node of a tailnet for tests that tells a real coordination server what it likes of itself:
//
//	hostile_node -server URL -key AUTHKEY -name NAME -node KEY
//
// Its node key (privkey:HEX) is the test's, which may speak WireGuard with it.
//
// It registers and says "registered". Then each line of its input is a JSON object whose fields take the place of
// those of a map request, which is sent; "told STATUS" says how the server took it. Certificates: SSL_CERT_FILE.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"tailscale.com/control/ts2021"
	"tailscale.com/net/dnscache"
	"tailscale.com/net/netmon"
	"tailscale.com/net/tsdial"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/util/eventbus"
)

const version = 131

type object map[string]any

type node struct {
	server string
	client *ts2021.Client
	key    key.NodePublic
	name   string
}

func serverKey(server string) key.MachinePublic {
	var keys tailcfg.OverTLSPublicKeyResponse
	answer, err := http.Get(fmt.Sprintf("%s/key?v=%d", server, version))
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&keys); err != nil {
		log.Fatal(err)
	}
	return keys.PublicKey
}

func (n *node) post(path string, what object) *http.Response {
	body, err := json.Marshal(what)
	if err != nil {
		log.Fatal(err)
	}
	request, err := http.NewRequest("POST", n.server+path, bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := n.client.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	return answer
}

func (n *node) hostinfo() object {
	return object{"Hostname": n.name, "OS": "linux", "BackendLogID": "hostile"}
}

func (n *node) register(authKey string) {
	answer := n.post("/machine/register", object{"Version": version, "NodeKey": n.key,
		"Auth": object{"AuthKey": authKey}, "Hostinfo": n.hostinfo()})
	text, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	var r tailcfg.RegisterResponse
	if err := json.Unmarshal(text, &r); err != nil || !r.MachineAuthorized || r.Error != "" {
		log.Fatalf("not registered: %d %s", answer.StatusCode, text)
	}
	fmt.Println("registered")
}

// listen keeps the node online.
func (n *node) listen() {
	answer := n.post("/machine/map", object{"Version": version, "NodeKey": n.key, "Stream": true, "KeepAlive": true,
		"Hostinfo": n.hostinfo()})
	io.Copy(io.Discard, answer.Body)
}

// tell sends what a line says instead of what would be right.
func (n *node) tell(line []byte) {
	what := object{"Version": version, "NodeKey": n.key, "OmitPeers": true, "Hostinfo": n.hostinfo()}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil {
		log.Fatalf("%s: %v", line, err)
	}
	for name, value := range raw {
		what[name] = value
	}
	answer := n.post("/machine/map", what)
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	fmt.Println("told", answer.StatusCode)
}

func main() {
	server := flag.String("server", "", "URL of the coordination server")
	authKey := flag.String("key", "", "pre-auth key")
	name := flag.String("name", "hostile", "name of the host")
	secret := flag.String("node", "", "private node key")
	flag.Parse()
	var nodeKey key.NodePrivate
	if err := nodeKey.UnmarshalText([]byte(*secret)); err != nil {
		log.Fatal(err)
	}
	monitor := netmon.NewStatic()
	dialer := &tsdial.Dialer{Logf: log.Printf}
	dialer.SetNetMon(monitor)
	dialer.SetBus(eventbus.New())
	client, err := ts2021.NewClient(ts2021.ClientOpts{ServerURL: *server, PrivKey: key.NewMachine(),
		ServerPubKey: serverKey(*server), Dialer: dialer, NetMon: monitor, ProtocolVersion: version,
		DNSCache: &dnscache.Resolver{Forward: dnscache.Get().Forward}})
	if err != nil {
		log.Fatal(err)
	}
	n := &node{server: *server, client: client, key: nodeKey.Public(), name: *name}
	n.register(*authKey)
	go n.listen()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n.tell(lines.Bytes())
	}
}
