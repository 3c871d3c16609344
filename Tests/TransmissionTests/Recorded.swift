/// Answers as Transmission 3.00, 4.0 and 4.1 write them.

import Notation
import Testing

enum Recorded {
    static let onion = "380f820b9197c4c940c6a2c8b377b67026a47471"
    static let plain = "c4038515d2886f91f7837cd07dbec81f953482af"

    /// 3.00: unknown names are 0 (`file-count`), names beyond the basic plane have five digits, no booleans in `wanted`.
    static let table300 = #"""
        {"arguments":{"removed":[9],"torrents":[["hashString","id","name","status","percentDone","leftUntilDone",
        "rateDownload","uploadRatio","labels","downloadLimit","isPrivate","trackers","file-count","no-such-field"],
        ["380f820b9197c4c940c6a2c8b377b67026a47471",2,"\u1f9c5 onion",4,0.25008,30000,1234,-1,["a"],100,false,
        [{"announce":"http://user:key@tracker.example:6969/announce?passkey=secret","id":0,"scrape":"","tier":0},
        {"announce":"udp://[2001:db8::1]:80","id":1,"scrape":"","tier":1}],0,0],
        ["c4038515d2886f91f7837cd07dbec81f953482af",1,"plain",0,1,0,0,1.99999,[],50,false,[],0,0]]},"result":"success"}
        """#

    /// 4.0: unknown names are left out, the name is whole, `file-count` is known.
    static let table40 = #"""
        {"arguments":{"removed":[9],"torrents":[["hashString","id","name","status","percentDone","leftUntilDone",
        "rateDownload","uploadRatio","labels","downloadLimit","isPrivate","trackers","file-count"],
        ["380f820b9197c4c940c6a2c8b377b67026a47471",2,"🧅 onion",4,0.25008,30000,1234,-1,["a"],100,false,
        [{"announce":"http://user:key@tracker.example:6969/announce?passkey=secret","id":0,"scrape":"",
        "sitename":"example","tier":0},{"announce":"udp://[2001:db8::1]:80","id":1,"scrape":"","sitename":"","tier":1}],3],
        ["c4038515d2886f91f7837cd07dbec81f953482af",1,"plain",0,1.0,0,0,1.99999,[],50,false,[],1]]},"result":"success",
        "tag":7}
        """#

    /// 4.1 over JSON-RPC: snake_case names, `removed` beside the torrents, another order of columns.
    static let table41 = #"""
        {"id":1,"jsonrpc":"2.0","result":{"removed":[9],"torrents":[["id","hash_string","name","status","percent_done",
        "left_until_done","rate_download","upload_ratio","labels","download_limit","is_private","trackers","file_count"],
        [2,"380f820b9197c4c940c6a2c8b377b67026a47471","🧅 onion",4,0.25008,30000,1234,-1,["a"],100,false,
        [{"announce":"http://user:key@tracker.example:6969/announce?passkey=secret","id":0,"scrape":"",
        "sitename":"example","tier":0},{"announce":"udp://[2001:db8::1]:80","id":1,"scrape":"","sitename":"","tier":1}],3],
        [1,"c4038515d2886f91f7837cd07dbec81f953482af","plain",0,1,0,0,1.99999,[],50,false,[],1]]}}
        """#

    static let session300 = #"""
        {"arguments":{"alt-speed-down":50,"alt-speed-enabled":false,"blocklist-url":"http://user:pw@example/list",
        "download-dir":"/srv/dl","encryption":"preferred","peer-port":51413,"rpc-version":16,"rpc-version-minimum":1,
        "script-torrent-done-filename":"/root/secret","session-id":"EZ2VtHZ","speed-limit-down":500,
        "speed-limit-down-enabled":true,"version":"3.00 (bb6b5a062e)"},"result":"success"}
        """#

    static let session41 = #"""
        {"id":1,"jsonrpc":"2.0","result":{"alt_speed_down":50,"alt_speed_enabled":false,"download_dir":"/srv/dl",
        "encryption":"preferred","peer_port":51413,"rpc_version":18,"rpc_version_minimum":14,"rpc_version_semver":"6.0.0",
        "session_id":"EZ2VtHZ","speed_limit_down":500,"speed_limit_down_enabled":true,"version":"4.1.0 (abcdef)"}}
        """#

    static let refusal41 = #"""
        {"id":1,"jsonrpc":"2.0","error":{"code":7,"data":{"error_string":"download directory path is not absolute"},
        "message":"Invalid argument"}}
        """#

    static func value(_ text: String) throws -> Value { try JSON.decode(text, lenient: true) }
}
